// HEALTHCHECK of every image that serves HTTP: exit code 0 when the process answers. Whether it can work is what /readyz says.
// An address as parameter is asked in place of /healthz.
const { ATREST_HTTP_PORT: port = '8080', ATREST_HTTP_TLS_CERT: certificate } = process.env;
const url = process.argv[2] ?? `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}/healthz`;
const { get } = await import(url.startsWith('https') ? 'node:https' : 'node:http');
setTimeout(() => process.exit(1), 4_000);
// We ask ourselves: the certificate is made for other names than this.
get(url, { rejectUnauthorized: false }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1));
