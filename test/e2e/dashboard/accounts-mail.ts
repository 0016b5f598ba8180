import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { outboxAad } from '../../../src/modules/mail/outbox.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import type { TestGateway } from '../../support/gateway.js';

/** The token in the newest mail of a kind, as its recipient would read it; null where there is none. */
export async function mailedToken(
  { app }: TestGateway,
  kind: 'password_reset' | 'invitation',
  orgId = INSTALLATION_ID,
): Promise<string | null> {
  const { database, config } = app.engine;
  const [mail] = await database.tenant(orgId, (q) =>
    q.query<{ id: string; sealed: Buffer }>(
      'SELECT id, sealed FROM outbox WHERE kind = $1 ORDER BY created_at DESC LIMIT 1',
      [kind],
    ),
  );
  if (!mail) return null;
  const secret = new SecretBox(config.encryptionKeys).open(mail.sealed, outboxAad(mail.id));
  return (JSON.parse(secret.toString()) as { readonly token?: string }).token ?? null;
}
