import type { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CsvReader } from '../../../src/domain/reports/csv-lines.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import type { Download } from '../../../src/modules/reports/csv-downloads.js';
import { requestIdAt } from '../records/record-samples.js';
import { DAY_MS, OWNER, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const FROM = lastMonthMs() + DAY_MS;
const query = { fromMs: FROM, toMs: FROM + DAY_MS };

async function rowsOf(orgId: string, download: Download, of = query): Promise<Record<string, string>[]> {
  const stream = await rig.downloads.open(orgId, download, of, OWNER);
  if (stream === null) throw new Error('busy');
  const reader = new CsvReader();
  const rows = [];
  for await (const chunk of stream) rows.push(...reader.push(String(chunk)));
  const [header, ...lines] = [...rows, ...reader.end()].map(({ fields }) => fields);
  return lines.map((cells) =>
    Object.fromEntries(header!.map((name, at) => [name, cells[at] ?? ''])),
  );
} // prettier-ignore

test('all requests of the period are in the file, once, in their order, over pages', async () => {
  const orgId = await rig.organization();
  const calls = Array.from({ length: 2_500 }, (_, i) => ({
    // Many of one millisecond, so that pages end among them.
    atMs: FROM + Math.floor(i / 900),
    request_id: requestIdAt(FROM + Math.floor(i / 900), i),
  }));
  await rig.calls(orgId, [...calls, { atMs: FROM - 1 }, { atMs: query.toMs }]);
  const rows = await rowsOf(orgId, 'requests');
  const ids = rows.map((row) => row['request_id']);
  expect(ids).toEqual(calls.map(({ request_id: id }) => id).toSorted());
  expect(rows[0]).toMatchObject({
    started_at: new Date(FROM).toISOString(),
    cost_nano_usd: '4542500',
    tags: 'checkout,eu',
    synthetic: 'false',
  });
});

test('what a spreadsheet would calculate is text, and numbers are numbers', async () => {
  const orgId = await rig.organization();
  const evil = '=HYPERLINK("http://evil.example","x")';
  await rig.calls(orgId, [
    { atMs: FROM, customer_id: evil, tags: ['@x', '+1'], requested_model: '-2+3', cost_nano_usd: '17' },
    { atMs: FROM + 1, customer_id: "'quoted", tags: ['\ttab', 'a"b,c\nd'] },
  ]); // prettier-ignore
  const [first, second] = await rowsOf(orgId, 'requests');
  expect(first).toMatchObject({
    customer_id: `'${evil}`,
    tags: "'@x,+1",
    requested_model: "'-2+3",
    cost_nano_usd: '17',
  });
  expect(second).toMatchObject({ customer_id: "''quoted", tags: `'\ttab,a"b,c\nd` });
});

test('the trail is in the file as it was hashed, neutralised, and the download in the trail', async () => {
  const orgId = await rig.organization();
  const trail = new AuditTrail(rig.db.database);
  const reason = '=1+1';
  await trail.add(orgId, {
    actor: OWNER,
    action: 'project.changed',
    atMs: FROM,
    reason,
    oldValue: '-1',
  });
  const rows = await rowsOf(orgId, 'audit');
  expect(rows).toHaveLength(1);
  const [entry] = (await trail.list(orgId)).filter(({ action }) => action === 'project.changed');
  expect(rows[0]).toMatchObject({
    seq: String(entry?.seq),
    hash: entry?.hash,
    details: entry?.details,
    reason: "'=1+1",
    old_value: "'-1",
  });
  await rowsOf(orgId, 'requests');
  const actions = (await trail.list(orgId)).map(({ action, actor }) => `${action} ${actor}`);
  expect(actions).toEqual(
    expect.arrayContaining(['audit.exported olivia', 'requests.exported olivia']),
  );
});

const gone = (stream: Readable) => new Promise((resolve) => stream.once('close', resolve));

test('whoever goes away ends the reading, and makes room for others', async () => {
  const orgId = await rig.organization();
  const calls = Array.from({ length: 4_000 }, (_, i) => ({ atMs: FROM + i }));
  await rig.calls(orgId, calls);
  const open = () => rig.downloads.open(orgId, 'requests', query, OWNER);
  const streams = await Promise.all([open(), open(), open()]);
  expect(streams.every((stream) => stream !== null)).toBe(true);
  expect(await open()).toBeNull();
  const left = gone(streams[0]!);
  let pages = 0;
  for await (const _ of streams[0]!) {
    pages += 1;
    break;
  }
  expect(pages).toBe(1);
  await left;
  const another = await open();
  expect(another).not.toBeNull();
  // Nobody takes these: they end by themselves.
  const closed = [...streams.slice(1), another].map((stream) => gone(stream!));
  await Promise.all(closed);
  expect(await open()).not.toBeNull();
}, 20_000); // prettier-ignore

test("no organization's download has a row of another's", async () => {
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  await rig.calls(foreign, [{ atMs: FROM }]);
  rig.clock.atMs = FROM;
  expect(await rowsOf(own, 'requests')).toEqual([]);
  expect(await rowsOf(foreign, 'requests')).toHaveLength(1);
});
