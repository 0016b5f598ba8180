import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiKeyService, KEYS_MAX } from '../../../src/modules/api-keys/api-key.service.js';
import { PROJECTS_MAX, ProjectService } from '../../../src/modules/projects/project.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.owner.query('ALTER TABLE api_keys DISABLE TRIGGER api_keys_changed');
});
afterAll(() => db?.close());

test('every live key of an organization is in its list, however many have ended; one more is refused', async () => {
  const { orgId, projectId, apiKeyId } = await db.createTenant();
  const keys = new ApiKeyService(db.database, systemClock);
  const add = (count: number, revoked: boolean) =>
    db.database.tenant(orgId, (q) =>
      q.query(
        `INSERT INTO api_keys (org_id, id, project_id, key_hash, preview, name, revoked_at)
         SELECT $1, gen_random_uuid(), $2, sha256(uuid_send(gen_random_uuid())), 'x', 'k', $3
           FROM generate_series(1, $4::int)`,
        [orgId, projectId, revoked ? new Date() : null, count],
      ),
    );
  await add(KEYS_MAX - 1, false);
  await add(10_000, true);
  const live = (await keys.list(orgId)).filter(({ revokedAt }) => revokedAt === null);
  expect(live).toHaveLength(KEYS_MAX);
  expect(await keys.create(orgId, { projectId, name: 'more' }, ACTOR)).toEqual({
    kind: 'too_many',
  });
  // Who has no room for a new key can still replace one.
  expect(await keys.rotate(orgId, apiKeyId, 0, ACTOR)).toMatchObject({ kind: 'issued' });
  await keys.revoke(orgId, live.find(({ id }) => id !== apiKeyId)!.id, ACTOR);
  const again = await keys.create(orgId, { projectId, name: 'again' }, ACTOR);
  expect(again).toMatchObject({ kind: 'issued' });
});

test('an organization has a bounded number of projects, and gets no more of two who ask at once', async () => {
  const { orgId } = await db.createTenant();
  await db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO projects (org_id, id, name)
       SELECT $1, gen_random_uuid(), 'p' || i FROM generate_series(3, $2::int) AS i`,
      [orgId, PROJECTS_MAX],
    ),
  );
  const projects = new ProjectService(db.database, systemClock);
  const made = await Promise.all(['a', 'b'].map((name) => projects.create(orgId, { name }, ACTOR)));
  expect(made.map(({ kind }) => kind).toSorted()).toEqual(['saved', 'too_many']);
  expect(await projects.list(orgId)).toHaveLength(PROJECTS_MAX);
});
