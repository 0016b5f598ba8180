import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import type { AppConfig } from '../../config/app-config.js';
import { MailSender } from './mail-sender.js';
import { OutboxService } from './outbox.service.js';
import { ReminderSubscription } from './reminder-subscription.js';
import { SmtpTransport } from './smtp-transport.js';

export interface MailContext {
  readonly config: Pick<AppConfig, 'mail' | 'publicUrl' | 'production' | 'secrets'>;
  readonly database: Database;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Everything of the mail, wired. */
export function createMail({ config, database, secretBox, clock, logger }: MailContext) {
  const { mail: settings, publicUrl, production, secrets } = config;
  const reminders = new ReminderSubscription(database, secrets.sessionSecret);
  const office = settings && {
    transport: new SmtpTransport(settings.smtpUrl, production),
    site: { publicUrl, from: settings.from },
  };
  return {
    reminders,
    mail: new MailSender({ database, secretBox, clock, logger, reminders, office }),
    outbox: new OutboxService({
      database,
      secretBox,
      clock,
      mailIsOn: settings !== null,
      publicUrl,
    }),
  };
}
