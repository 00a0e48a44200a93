import { Suspense } from "react";
import { sessions } from "../../lib/sessions.js";

async function Devices() {
  const { user, handle } = await sessions.auth();
  const devices = await sessions.forUser(user).list();
  return (
    <ul>
      {devices.map((device) => (
        <li key={device.handle}>
          {device.client?.userAgent ?? "unknown"}
          {device.handle === handle && " (this one)"}
        </li>
      ))}
    </ul>
  );
}

export default function Account() {
  return (
    <Suspense>
      <Devices />
    </Suspense>
  );
}
