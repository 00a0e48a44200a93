/**
 * As much of `next/headers`, `next/server` and `next/cache` as is used. tsconfig.json names this file in their place, because
 * the types of Next.js change global types, such as that of `process.env`.
 */
import type { CookieJar, IncomingHeaders } from "./request-cookies.ts";

export declare function cookies(): Promise<CookieJar>;
export declare function headers(): Promise<IncomingHeaders>;
export declare function connection(): Promise<void>;
export declare const NextResponse: { next(): Response };
export declare function refresh(): void;
