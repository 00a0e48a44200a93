import { sessions } from "./sessions.js";

export const onRequest = sessions.onRequest;
