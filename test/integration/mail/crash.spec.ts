import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MailSenderContext } from '../../../src/modules/mail/mail-sender.js';
import type { MailSession, MailTransport } from '../../../src/modules/mail/mail-transport.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { FROM, MailRig, PUBLIC_URL } from './mail-rig.js';

let rig: MailRig;
beforeAll(async () => {
  rig = await MailRig.start();
});
afterAll(() => rig.stop());

const HOUR_MS = 3_600_000;
const REFUSED_AT_FIRST = 'later@example.org';

class Crash extends Error {}

/** A process that dies at one of the points that it passes: its connections end, and nothing of it goes on. */
class MortalProcess {
  points = 0;
  #dead = false;

  constructor(
    private readonly diesAt: number,
    private readonly onDeath: () => void,
  ) {}

  get isDead(): boolean {
    return this.#dead;
  }

  /** Before an await and after it; and once more in the middle where `inTheMiddle` is called. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    this.point();
    const result = await work();
    this.point();
    return result;
  }

  point(): void {
    this.points += 1;
    if (this.points === this.diesAt && !this.#dead) {
      this.#dead = true;
      this.onDeath();
    }
    if (this.#dead) throw new Crash();
  }

  database(): MailSenderContext['database'] {
    const { database } = rig.db;
    return {
      query: (sql, parameters) => this.pass(() => database.query(sql, parameters)),
      tenant: (orgId, work) =>
        this.pass(() =>
          database.tenant(orgId, (q) => {
            const mortal: Queryable = {
              query: (sql, parameters) => this.pass(() => q.query(sql, parameters)),
            };
            return work(mortal);
          }),
        ),
    };
  }

  transport(): MailTransport {
    const transport = rig.transport();
    return { open: () => this.pass(async () => this.#session(await transport.open())) };
  }

  #session(session: MailSession): MailSession {
    return {
      get usable() {
        return session.usable;
      },
      close: () => session.close(),
      deliver: (mail, mayBegin) =>
        this.pass(() => {
          rig.smtp.onBody = () => {
            try {
              this.point();
            } catch {
              // It is dead now; whoever waits for it learns of it below.
            }
          };
          return session.deliver(mail, mayBegin);
        }),
    };
  }
}

/** One run that dies at that point, then what later processes make of it. Tells how many points the run passed. */
async function trial(diesAt: number) {
  rig.smtp.reset();
  rig.smtp.mannersFor.set(REFUSED_AT_FIRST, { kind: 'refuse', at: 'rcpt', code: 451 });
  const orgId = await rig.organization();
  for (const address of ['a@example.org', REFUSED_AT_FIRST, 'b@example.org']) {
    const [user] = await rig.db.database.query<{ id: string }>(
      'SELECT id FROM users WHERE email = $1',
      [address],
    );
    if (user) {
      await rig.db.database.tenant(orgId, (q) =>
        q.query(`INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'owner')`, [
          orgId,
          user.id,
        ]),
      );
    }
    await rig.enqueue(orgId, user?.id ?? (await rig.member(orgId, address)), 1);
  }
  const dying = new MortalProcess(diesAt, () => rig.smtp.cutAll());
  const site = { publicUrl: PUBLIC_URL, from: FROM };
  await rig
    .sender({ database: dying.database(), office: { transport: dying.transport(), site } })
    .sendDue()
    .catch((error: unknown) => {
      if (!dying.isDead) throw error;
    });
  rig.smtp.onBody = () => undefined;
  rig.smtp.mannersFor.clear();
  const next = rig.sender();
  await next.sendDue();
  rig.clock.pass(HOUR_MS);
  await next.sendDue();
  rig.clock.pass(HOUR_MS);
  await next.sendDue();
  return { died: dying.isDead, points: dying.points, rows: await rig.rows(orgId) };
}

test('a crash at any await of a run: the next one finishes, and no mail reaches the server twice', async () => {
  const ends: Record<string, number> = {};
  const healthy = await trial(0);
  expect(healthy.died).toBe(false);
  expect(healthy.rows.map(({ state }) => state)).toEqual(['sent', 'sent', 'sent']);
  expect(healthy.points).toBeGreaterThan(30);
  let crashes = 0;
  let arrived = 0;
  for (let point = 1; point <= healthy.points; point += 1) {
    const { died, rows } = await trial(point);
    expect(died, `point ${point}`).toBe(true);
    crashes += 1;
    const ids = rig.smtp.seen.map(({ messageId }) => messageId);
    expect(new Set(ids).size, `point ${point}: ${ids.join(' ')}`).toBe(ids.length);
    const doubtful = rows.filter(({ state }) => state === 'unconfirmed');
    expect(doubtful.length, `point ${point}`).toBeLessThanOrEqual(1);
    for (const { id, state } of rows) {
      ends[state] = (ends[state] ?? 0) + 1;
      const seen = ids.includes(`<${id}@shunt.example.com>`);
      if (state === 'sent') expect(seen, `point ${point}`).toBe(true);
      if (state === 'unconfirmed' && seen) arrived += 1;
    }
  }
  process.stdout.write(
    `${crashes} crash points, 3 mails each: ${ends.sent} sent, ${ends.unconfirmed} unconfirmed, ` +
      `of which ${arrived} had arrived\n`,
  );
  expect(Object.keys(ends).toSorted()).toEqual(['sent', 'unconfirmed']);
}, 300_000);
