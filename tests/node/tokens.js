'use strict';
/**
 * Makes JSON Web Tokens with the crypto of Node.js, which shares no code with Sockeye: prints a JWK set of
 * its public keys and a token of each algorithm, then ends when its stdin is closed.
 */

const crypto = require('node:crypto');

const { readArguments } = require('./lib/arguments');

const options = readArguments('Usage: node tokens.js [options]', {
  claims: { kind: 'text', otherwise: '{}', help: 'more claims, as JSON' },
  lifetime: { kind: 'number', otherwise: 60, help: 'seconds until the tokens expire' },
});

/** How each algorithm signs (RFC 7518, section 3.1), and its keys. */
const ALGORITHMS = {
  RS256: { pair: ['rsa', { modulusLength: 2048 }], digest: 'sha256', encoding: {} },
  ES256: { pair: ['ec', { namedCurve: 'P-256' }], digest: 'sha256', encoding: { dsaEncoding: 'ieee-p1363' } },
  EdDSA: { pair: ['ed25519', {}], digest: null, encoding: {} },
};

const keys = [];
const tokens = {};
const claims = { exp: Math.floor(Date.now() / 1_000) + options.lifetime, ...JSON.parse(options.claims) };
for (const [alg, { pair, digest, encoding }] of Object.entries(ALGORITHMS)) {
  const { publicKey, privateKey } = crypto.generateKeyPairSync(...pair);
  keys.push({ ...publicKey.export({ format: 'jwk' }), kid: alg, use: 'sig', alg });
  tokens[alg] = sign({ alg, typ: 'JWT', kid: alg }, (message) =>
    crypto.sign(digest, Buffer.from(message), { key: privateKey, ...encoding }),
  );
}
const secret = crypto.randomBytes(32);
keys.push({ kty: 'oct', k: secret.toString('base64url'), kid: 'HS256', alg: 'HS256' });
tokens.HS256 = sign({ alg: 'HS256', kid: 'HS256' }, (message) =>
  crypto.createHmac('sha256', secret).update(message).digest(),
);

function sign(header, signatureOf) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const message = `${part(header)}.${part(claims)}`;
  return `${message}.${signatureOf(message).toString('base64url')}`;
}

process.stdout.write(`${JSON.stringify({ event: 'tokens', jwks: { keys }, tokens })}\n`);
