/** Seconds an access token lives. Atlas answers 3600; Terraform renews with under 10 minutes left, so far shorter would make it ask at every call. */
export const ACCESS_TOKEN_SECONDS = 3600;

/** The `aud` claim: whom the tokens are for. Fixed, so that a token of another product which shares the issuer is refused. */
export const ACCESS_TOKEN_AUDIENCE = 'atrest-admin-api';

/** The header's `typ` (RFC 9068): a JWT made for another purpose, even one signed by the same key, is not an access token. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';

/** The one algorithm. Never read from the token: `none` and HMAC with the public key are thereby impossible. */
export const ACCESS_TOKEN_ALGORITHM = 'ES256';
