import { createFileRoute } from "@tanstack/react-router";

export const Route = createFileRoute("/static")({ component: () => <p>made by the build</p> });
