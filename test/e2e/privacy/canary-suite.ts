import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { huntFiles, huntTables, LeakHunt, randomUnit } from '../../support/leak-hunt.js';
import { Carrier, inventedKeys, recordsOf } from './carrier.js';
import type { Scenario } from './scenarios.js';
import type { Environment, Target } from './target.js';

const EVERYWHERE_MS_MAX = 120_000;
/** A data directory with a database in it has tens of megabytes. */
const FILE_BYTES_MIN = 20_000_000;

/** Plays the scenarios one after the other, then looks for what they carried in every place where it could be. */
export function describeCanary(
  where: string,
  start: (env: Environment) => Promise<Target>,
  scenarios: readonly Scenario[],
  /** What else leaves traces, before they are looked for. */
  provoked?: { readonly name: string; readonly work: (carrier: Carrier) => Promise<void> },
): void {
  describe(where, () => {
    let carrier: Carrier;
    const planted = { text: randomUnit().repeat(4), name: 'planted' };

    beforeAll(async () => {
      carrier = await Carrier.start(inventedKeys(), start);
    });
    afterAll(() => carrier?.stop());

    describe('a canary is carried through', () => {
      test.each(scenarios)('$name', async (scenario) => {
        const { status } = await carrier.play(scenario);
        expect(scenario.statuses).toContain(status);
      });
    });

    if (provoked !== undefined) test(provoked.name, () => provoked.work(carrier));

    test('each call is in the log by its id, and has exactly one record, or none where nobody is known', async () => {
      const records = await carrier.records();
      const output = carrier.target.output();
      const wrong = carrier.played.flatMap((played) => {
        const { name, outcomes } = played.scenario;
        const found = recordsOf(played, records);
        const seen = found.map(({ outcome }) => outcome);
        const isRecorded =
          outcomes === null ? seen.length === 0 : seen.length === 1 && outcomes.includes(seen[0]!);
        const requestId = found[0]?.requestId ?? played.answered.requestId;
        // The framework's own refusals have no id.
        const isLogged = requestId === null ? outcomes === null : output.includes(requestId);
        return isRecorded && isLogged ? [] : [{ name, requestId, seen, isLogged }];
      });
      expect(wrong).toEqual([]);
    });

    test('it reached the provider and came back to its caller', () => {
      const { played, upstream, needles } = carrier;
      expect(played).toHaveLength(scenarios.length);
      const received = upstream.captured.map(({ url, body }) => `${url} ${body}`).join('\n');
      const calls = played.filter(({ scenario }) => scenario.outcomes?.includes('completed'));
      for (const { scenario, answered } of calls.filter(isReadable)) {
        const { text } = needles.find(({ name }) => name === scenario.name)!;
        expect([scenario.name, received.includes(text), answered.body.includes(text)]).toEqual([
          scenario.name,
          true,
          true,
        ]);
      }
    });

    test('it is in no log line, no console output, no warning, and not in the log of Postgres', () => {
      const { output, logins } = carrier.target;
      const hunt = new LeakHunt(carrier.needles);
      hunt.text('the output', output());
      if (existsSync(logins.logFile)) hunt.bytes('Postgres', readFileSync(logins.logFile));
      expect(hunt.hits).toEqual([]);
      expect(output().length).toBeGreaterThan(10_000);
    });

    test(
      'it is in no row of any table',
      async () => {
        const hunt = new LeakHunt(carrier.needles);
        const rows = await huntTables(hunt, carrier.target.logins.superuserUrl);
        expect(hunt.hits).toEqual([]);
        const recorded = [...rows].filter(([name]) => /^request_log_d90_/.test(name));
        expect(recorded.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(20);
      },
      EVERYWHERE_MS_MAX,
    );

    test(
      'it is in no file, in the decrypted spool neither',
      () => {
        const hunt = new LeakHunt(carrier.needles);
        const { logins, encryptionKeys } = carrier.target;
        const { spoolLines } = huntFiles(hunt, logins.directories, encryptionKeys);
        expect(hunt.hits).toEqual([]);
        expect(hunt.bytesSearched).toBeGreaterThan(FILE_BYTES_MIN);
        const last = carrier.played.findLast(({ scenario }) => scenario.outcomes !== null);
        expect(spoolLines.join('\n')).toContain(last?.answered.requestId);
      },
      EVERYWHERE_MS_MAX,
    );

    test('nobody else is answered with it: not in metrics, records, sums or errors', async () => {
      const hunt = new LeakHunt(carrier.needles);
      const { other } = carrier;
      const asked = [
        await carrier.callAs(other.apiKey, '/metrics'),
        await carrier.callAs(other.apiKey, '/readyz'),
        await carrier.callAs(other.apiKey, '/shunt/v1/requests?limit=100'),
        await carrier.callAs(carrier.keyOf('usual'), '/shunt/v1/requests?limit=100'),
        await carrier.callAs(carrier.keyOf('usual'), '/shunt/v1/usage?include_synthetic=true'),
        await carrier.callAs(other.apiKey, '/v1/chat/completions', '{"model":'),
        await carrier.callAs(other.apiKey, '/v1/chat/completions', '{"messages":[]}'),
        await carrier.callAs(other.apiKey, '/openai/v1/files', 'x'),
        await carrier.callAs('shunt_of_nobody_at_all', '/v1/chat/completions', '{}'),
        await carrier.callAs(other.apiKey, '/v1/nothing', '{}'),
        await carrier.callAs(other.apiKey, '/nothing'),
      ];
      for (const { headers, body } of asked) {
        hunt.text('an answer to somebody else', JSON.stringify(headers) + body);
      }
      expect(hunt.hits).toEqual([]);
      const [, , , own] = asked;
      expect((JSON.parse(own!.body) as { data: unknown[] }).data.length).toBeGreaterThan(20);
    });

    test(
      'what is kept by design is found in all of these places: the search does see',
      async () => {
        const { target } = carrier;
        await carrier.play({
          ...scenarios[0]!,
          name: 'a customer id, which is kept',
          sent: (unit) => {
            const sent = scenarios[0]!.sent(unit);
            const headers = { ...sent.headers, 'x-shunt-customer-id': planted.text };
            return { ...sent, headers };
          },
        });
        await carrier.records();
        const tables = new LeakHunt([planted]);
        await huntTables(tables, target.logins.superuserUrl);
        expect(tables.hits.map(({ place }) => place)).toContainEqual(
          expect.stringMatching(/^table request_log_d90_/),
        );
        const files = new LeakHunt([planted]);
        huntFiles(files, target.logins.directories, target.encryptionKeys);
        const places = files.hits.map(({ place }) => place);
        expect(places).toContainEqual(expect.stringMatching(/\.seg, decrypted$/));
        const api = await carrier.callAs(carrier.keyOf('usual'), '/shunt/v1/requests?limit=1');
        const answers = new LeakHunt([planted]);
        answers.text('the application API', api.body);
        expect(answers.hits).not.toEqual([]);
        const output = new LeakHunt([planted]);
        output.text('the output', target.output());
        expect(output.hits).toEqual([]);
      },
      EVERYWHERE_MS_MAX,
    );

    test(
      'it is nowhere once the process has ended either',
      async () => {
        const { target } = carrier;
        await target.end();
        const hunt = new LeakHunt(carrier.needles);
        hunt.text('the output', target.output());
        huntFiles(hunt, target.logins.directories, target.encryptionKeys);
        expect(hunt.hits).toEqual([]);
        expect(hunt.bytesSearched).toBeGreaterThan(FILE_BYTES_MIN);
      },
      EVERYWHERE_MS_MAX,
    );
  });
}

/** Compressed answers, and those of which only a part came, do not have it as it stands. */
function isReadable({ scenario }: { scenario: Scenario }): boolean {
  const { manner, name } = scenario;
  return (manner === 'answers' || manner === 'streams') && !name.includes('compressed');
}
