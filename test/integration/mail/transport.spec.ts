import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SMTP_LIMITS, SmtpTransport } from '../../../src/modules/mail/smtp-transport.js';
import { TestSmtpServer } from '../../support/smtp.js';

const open: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.stop();
});

async function start(...options: Parameters<typeof TestSmtpServer.start>) {
  const server = await TestSmtpServer.start(...options);
  open.push(server);
  return server;
}

const MAIL = {
  envelope: { from: 'a@example.com', to: 'b@example.com' },
  bytes: Buffer.from('Message-ID: <1@example.com>\r\n\r\n.\r\n.. dots\r\n'),
};

async function send(url: string): Promise<string> {
  const session = await new SmtpTransport(url, false, SMTP_LIMITS).open();
  const delivery = await session.deliver(MAIL, () => true);
  session.close();
  return delivery.kind;
}

const withStartTls = { disabledCommands: [] };

test('a certificate that nobody vouches for is refused, and nothing is sent without it', async () => {
  const server = await start(withStartTls);
  await expect(send(server.url)).rejects.toMatchObject({ name: 'MailServerAway' });
  expect(server.seen).toEqual([]);
});

test('the URL can accept such a certificate', async () => {
  const server = await start(withStartTls);
  expect(await send(`${server.url}?tls.rejectUnauthorized=false`)).toBe('accepted');
});

test('where TLS is required, a server without it gets neither password nor mail', async () => {
  let asked = 0;
  const server = await start({
    onAuth: (_auth, _session, callback) => {
      asked += 1;
      callback(null, { user: 'u' });
    },
    allowInsecureAuth: true,
  });
  const url = server.url.replace('//', '//user:secret@');
  await expect(send(`${url}?requireTLS=true`)).rejects.toMatchObject({ name: 'MailServerAway' });
  expect([asked, server.seen]).toEqual([0, []]);
});

test('it signs in where the URL has a name, and a wrong password sends nothing', async () => {
  const server = await start({
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, callback) => {
      if (username === 'user' && password === 'p@ss') callback(null, { user: 'u' });
      else callback(new Error('no'));
    },
  });
  expect(await send(server.url.replace('//', '//user:p%40ss@'))).toBe('accepted');
  await expect(send(server.url.replace('//', '//user:other@'))).rejects.toMatchObject({
    reason: 'smtp_535',
  });
  expect(server.seen).toHaveLength(1);
});

test('a server that wants no password is not handed one', async () => {
  const server = await start({ disabledCommands: ['STARTTLS', 'AUTH'] });
  await expect(send(server.url.replace('//', '//user:secret@'))).rejects.toMatchObject({
    reason: 'auth_not_offered',
  });
});

test('a body arrives as it is, lines of dots included', async () => {
  const server = await start();
  expect(await send(server.url)).toBe('accepted');
  expect(server.seen[0]?.raw.toString()).toBe(MAIL.bytes.toString());
});

test('a port where nobody listens, a name that nobody has and a server that accepts and says nothing are all away', async () => {
  const gone = await start();
  const { url } = gone;
  await gone.stop();
  open.pop();
  await expect(send(url)).rejects.toMatchObject({ name: 'MailServerAway' });
  await expect(send('smtp://nowhere.invalid:25')).rejects.toMatchObject({ reason: 'EDNS' });
  const mute = createServer();
  await once(mute.listen(0, '127.0.0.1'), 'listening');
  open.push({ stop: async () => mute.close() });
  const { port } = mute.address() as AddressInfo;
  const limits = { ...SMTP_LIMITS, openMsMax: 150 };
  const opening = new SmtpTransport(`smtp://127.0.0.1:${port}`, false, limits).open();
  await expect(opening).rejects.toMatchObject({ reason: 'timeout' });
});
