// For a load balancer. It uses no session, so it needs no database.
export const GET = () => new Response("ok\n");
