// Asked by a load balancer, past the proxy that says who the client is: it begins no session.
export const GET = () => new Response("ok\n");
