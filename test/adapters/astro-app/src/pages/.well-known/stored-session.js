// Astro runs middleware only for routes that exist. The middleware answers in front of this one.
export const prerender = false;

export const POST = () => new Response(null, { status: 404 });
