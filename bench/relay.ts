import fastify from 'fastify';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

/** What anybody would write first: Fastify in front, undici behind, nothing read, counted or kept. Prints its port. */
const pool = new Pool(process.env['UPSTREAM'] ?? '', { pipelining: 1 });
const app = fastify({ bodyLimit: 64 * 1024 * 1024 });

app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_req, body, done) => done(null, body));
app.post('/v1/chat/completions', async (req, reply) => {
  const {
    host: _host,
    connection: _connection,
    'content-length': _length,
    ...headers
  } = req.headers;
  const answer = await pool.request({
    method: 'POST',
    path: req.url,
    headers: { ...headers, authorization: 'Bearer upstream-key' },
    body: req.body as Buffer,
  });
  const { connection: _closing, 'transfer-encoding': _encoding, ...relayed } = answer.headers;
  return reply.status(answer.statusCode).headers(relayed).send(answer.body);
});

await app.listen({ port: 0, host: '127.0.0.1' });
console.log(`port ${(app.server.address() as AddressInfo).port}`);
