import { randomUUID } from 'node:crypto';
import { hashPassword } from '../../platform/crypto/password.js';
import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { faultOfPassword } from '../accounts/password-rules.js';

export type NewUser =
  | { readonly kind: 'created'; readonly userId: string }
  | { readonly kind: 'email_taken' }
  | { readonly kind: 'weak_password'; readonly message: string };

const UNIQUE_VIOLATION = '23505';

/** People who sign in; which organizations they belong to is `OrganizationService`'s. */
export class UserService {
  constructor(private readonly database: Database) {}

  async create(email: string, password: string): Promise<NewUser> {
    return createUserWithin(this.database, email, password);
  }

  async findByEmail(email: string): Promise<string | null> {
    const [user] = await this.database.query<{ id: string }>(
      'SELECT id FROM users WHERE email = $1',
      [email.trim()],
    );
    return user?.id ?? null;
  }
}

/** As a part of a larger transaction, which goes on where the address is taken: null then. */
export async function insertUserWithin(
  q: Queryable,
  email: string,
  passwordHash: string,
  confirmedAt: Date | null,
): Promise<string | null> {
  const [user] = await q.query<{ id: string }>(
    `INSERT INTO users (id, email, password_hash, confirmed_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (email) DO NOTHING RETURNING id`,
    [randomUUID(), email.trim(), passwordHash, confirmedAt],
  );
  return user?.id ?? null;
}

/**
 * Whoever runs the machine vouches for the address. As a part of a larger transaction; after `email_taken` that
 * transaction cannot go on.
 */
export async function createUserWithin(
  q: Queryable,
  email: string,
  password: string,
): Promise<NewUser> {
  const fault = faultOfPassword(password, email);
  if (fault !== null) return { kind: 'weak_password', message: fault };
  const userId = randomUUID();
  const hash = await hashPassword(password);
  try {
    await q.query(
      'INSERT INTO users (id, email, password_hash, confirmed_at) VALUES ($1, $2, $3, now())',
      [userId, email.trim(), hash],
    );
  } catch (error) {
    if (sqlStateOf(error) === UNIQUE_VIOLATION) return { kind: 'email_taken' };
    throw error;
  }
  return { kind: 'created', userId };
}
