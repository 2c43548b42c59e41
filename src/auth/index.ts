/**
 * Authenticates runs by bearer token, with `jose` as an optional peer.
 */
export * from "./AuthContext.ts"
export * from "./Authentication.ts"
export * from "./BearerToken.ts"
export * from "./TokenVerifier.ts"
