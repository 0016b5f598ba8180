import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The savings ledger: one row for each fact about money, with the usage and the unit prices that its amounts follow
 * from. Rows are only ever added. The database gives each its number, without gaps within an organization, and its
 * hash, and takes none whose amounts do not follow. A sealer outside of it links ranges of rows into signed seals,
 * each over the one before; the database takes none that does not continue the chain.
 *
 * Not partitioned: it holds routed calls alone, nothing of it ever expires, and its key begins with the organization.
 * Rows outlive their organization, hence no foreign key; they hold ids, names of models and numbers.
 *
 * `request_log` gets the decision with its inputs, so that it can be made again offline.
 */
export class SavingsLedger1763800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ROUTING);
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(ENCODING);
    await runner.query(COST);
    await runner.query(NUMBER);
    await runner.query(LINK);
    await runner.query(UNSEALED);
    await runner.query(GRANTS);
    await runner.query(KEEP_HEADS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE seals, savings_ledger, ledger_heads;
      DROP FUNCTION number_ledger_entry();
      DROP FUNCTION move_ledger_head();
      DROP FUNCTION link_seal();
      DROP FUNCTION check_ledger_head();
      DROP FUNCTION ledger_cost(jsonb, jsonb, boolean);
      DROP FUNCTION ledger_field(text);
      DROP FUNCTION organizations_with_unsealed_entries(uuid, integer);
      ALTER TABLE request_log DROP COLUMN routing;
    `);
  }
}

const ROUTING = `
  -- What the router knew and what it decided; null where it was not asked.
  ALTER TABLE request_log ADD COLUMN routing jsonb;
  GRANT UPDATE (routing) ON request_log TO shunt_runtime;
`;

/** Amounts are integers of nano-USD. Not numeric(38,0), which would round a fraction in silence: the checks refuse it. */
const isAmount = (column: string): string =>
  `${column} = trunc(${column}) AND abs(${column}) < 1e38`;

/** As the gateway takes names from providers and clients: nothing that could be content. */
const NAME = `'^[\\w.:/@+-]{1,200}$'`;
const HASH = (column: string): string => `CHECK (octet_length(${column}) = 32)`;
const PROVIDERS = `('openai', 'anthropic', 'google', 'groq')`;

const TABLES = `
  CREATE TABLE savings_ledger (
    org_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    request_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('routed', 'failed_attempt', 'evaluation', 'adjustment')),
    attempt smallint NOT NULL CHECK (attempt >= 0),
    -- By the clock of the gateway, milliseconds since 1970; the order of entries is their number's.
    at_ms bigint NOT NULL CHECK (at_ms BETWEEN 0 AND 253402300799999),
    project_id uuid NOT NULL,
    synthetic boolean NOT NULL,
    auto boolean NOT NULL,
    decision_source text NOT NULL CHECK (decision_source IN ('classifier', 'session', 'fallback')),
    decision_id text NOT NULL CHECK (decision_id ~ ${NAME}),
    baseline_provider text NOT NULL CHECK (baseline_provider IN ${PROVIDERS}),
    baseline_model text NOT NULL CHECK (baseline_model ~ ${NAME}),
    served_provider text NOT NULL CHECK (served_provider IN ${PROVIDERS}),
    served_model text NOT NULL CHECK (served_model ~ ${NAME}),
    usage jsonb NOT NULL CHECK (jsonb_typeof(usage) = 'object'),
    served_prices jsonb NOT NULL CHECK (jsonb_typeof(served_prices) = 'object'),
    served_price_version text NOT NULL CHECK (length(served_price_version) BETWEEN 1 AND 200),
    actual_nano_usd numeric NOT NULL CHECK (${isAmount('actual_nano_usd')}),
    baseline_usage jsonb NOT NULL CHECK (jsonb_typeof(baseline_usage) = 'object'),
    baseline_method text NOT NULL CHECK (baseline_method ~ ${NAME}),
    baseline_prices jsonb NOT NULL CHECK (jsonb_typeof(baseline_prices) = 'object'),
    baseline_price_version text NOT NULL CHECK (length(baseline_price_version) BETWEEN 1 AND 200),
    baseline_nano_usd numeric NOT NULL CHECK (${isAmount('baseline_nano_usd')}),
    savings_nano_usd numeric NOT NULL,
    -- The database's, as is seq: no writer gives it.
    entry_hash bytea NOT NULL ${HASH('entry_hash')},
    PRIMARY KEY (org_id, seq),
    CONSTRAINT savings_ledger_once UNIQUE (org_id, request_id, kind, attempt),
    CONSTRAINT savings_is_the_difference CHECK (savings_nano_usd = baseline_nano_usd - actual_nano_usd),
    -- Only an adjustment can take something back.
    CONSTRAINT negative_only_in_adjustments
      CHECK (kind = 'adjustment' OR (actual_nano_usd >= 0 AND baseline_nano_usd >= 0)),
    CONSTRAINT only_routing_has_a_baseline
      CHECK (kind IN ('routed', 'adjustment') OR baseline_usage = '{}')
  );
  -- For the sums of a period.
  CREATE INDEX savings_ledger_by_time ON savings_ledger (org_id, at_ms);

  -- The number of the last entry; the row is locked while a transaction adds entries.
  CREATE TABLE ledger_heads (
    org_id uuid PRIMARY KEY,
    seq bigint NOT NULL
  );

  CREATE TABLE seals (
    org_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    -- The numbers of the entries that it is over.
    range int8range NOT NULL CHECK (lower(range) > 0 AND upper(range) > lower(range)),
    -- SHA-256 over the hashes of these entries in their order.
    root bytea NOT NULL ${HASH('root')},
    prev bytea NOT NULL ${HASH('prev')},
    hash bytea NOT NULL ${HASH('hash')},
    sealed_at timestamptz NOT NULL CHECK (sealed_at >= '1970-01-01T00:00:00Z' AND sealed_at < '9999-01-01T00:00:00Z'
      AND sealed_at = date_trunc('milliseconds', sealed_at)),
    -- Ed25519, base64url; and which key made it: the first 16 digits of the SHA-256 of its public half.
    signature text NOT NULL CHECK (signature ~ '^[A-Za-z0-9_-]{86}$'),
    key_id text NOT NULL CHECK (key_id ~ '^[0-9a-f]{16}$'),
    PRIMARY KEY (org_id, seq)
  );

  CREATE TRIGGER savings_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON savings_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
  CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

  CREATE FUNCTION check_ledger_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      IF NEW.seq = 0 THEN RETURN NEW; END IF;
    ELSIF NEW.org_id = OLD.org_id AND NEW.seq > OLD.seq THEN
      RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the head of a ledger moves forward alone' USING ERRCODE = 'restrict_violation';
  END $$;
  CREATE TRIGGER ledger_heads_forward BEFORE INSERT OR UPDATE ON ledger_heads
    FOR EACH ROW EXECUTE FUNCTION check_ledger_head();
  CREATE TRIGGER ledger_heads_kept BEFORE DELETE OR TRUNCATE ON ledger_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;

const OF_THIS_TRANSACTION = `org_id = nullif(current_setting('shunt.org_id', true), '')::uuid`;

/** Heads are read across organizations by whoever verifies all ledgers; those of one that is gone have no other list. */
const ISOLATION = `
  ${['savings_ledger', 'ledger_heads', 'seals']
    .map(
      (table) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
  ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON ${table} USING (${OF_THIS_TRANSACTION}) WITH CHECK (${OF_THIS_TRANSACTION});`,
    )
    .join('')}
  CREATE POLICY directory ON ledger_heads FOR SELECT USING (current_setting('shunt.scope', true) = 'directory');
  CREATE POLICY owner_reads ON ledger_heads FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON seals FOR SELECT TO CURRENT_USER USING (true);
`;

/**
 * The encoding of docs/savings-ledger.md, that of the audit trail: each field as its length in bytes, a colon, its
 * UTF-8 text and a comma. modules/ledger/ledger-encoding.ts and scripts/verify-ledger are its other readers.
 */
const ENCODING = `
  CREATE FUNCTION ledger_field(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
    RETURN octet_length(convert_to(value, 'UTF8'))::text || ':' || value || ',';
  REVOKE ALL ON FUNCTION ledger_field(text) FROM PUBLIC;
`;

/** The dimensions that have a price (domain/pricing/unit-prices.ts); reasoning is a part of the output. */
const PRICED = `ARRAY['inputTokens', 'cacheReadTokens', 'cacheReadAudioTokens', 'cacheWrite5mTokens',
      'cacheWrite30mTokens', 'cacheWrite1hTokens', 'cacheWrite12hTokens', 'audioInputTokens', 'imageInputTokens',
      'outputTokens', 'audioOutputTokens', 'imageOutputTokens', 'webSearchCalls', 'webFetchCalls']`;

/**
 * Sum of units x unit price / 1,000,000, rounded once, half to even; null where a used dimension has no price or
 * anything is not of its form. Negative prices take an amount back.
 */
const COST = `
  CREATE FUNCTION ledger_cost(used jsonb, prices jsonb, negative boolean) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    dimension text;
    units text;
    price text;
    total numeric := 0;
    whole numeric;
    twice numeric;
  BEGIN
    IF (used - ${PRICED} - 'reasoningTokens') <> '{}' OR (prices - ${PRICED}) <> '{}' THEN
      RETURN NULL;
    END IF;
    FOR dimension, price IN SELECT * FROM jsonb_each_text(prices) LOOP
      IF price IS NULL OR jsonb_typeof(prices -> dimension) <> 'string' OR price !~ '^-?(0|[1-9][0-9]{0,29})$'
         OR price = '-0' OR (NOT negative AND price LIKE '-%') THEN
        RETURN NULL;
      END IF;
    END LOOP;
    FOR dimension, units IN SELECT * FROM jsonb_each_text(used) LOOP
      IF jsonb_typeof(used -> dimension) <> 'number' OR units !~ '^(0|[1-9][0-9]{0,15})$' THEN
        RETURN NULL;
      END IF;
      CONTINUE WHEN units = '0' OR dimension = 'reasoningTokens';
      price := prices ->> dimension;
      IF price IS NULL THEN
        RETURN NULL;
      END IF;
      total := total + units::numeric * price::numeric;
    END LOOP;
    whole := div(total, 1000000);
    twice := 2 * abs(total - whole * 1000000);
    IF twice > 1000000 OR (twice = 1000000 AND mod(whole, 2) <> 0) THEN
      whole := whole + sign(total);
    END IF;
    RETURN whole;
  END $$;
  REVOKE ALL ON FUNCTION ledger_cost(jsonb, jsonb, boolean) FROM PUBLIC;
`;

const ASSERT_SCOPE = `
    IF NEW.org_id IS DISTINCT FROM nullif(current_setting('shunt.org_id', true), '')::uuid THEN
      RAISE EXCEPTION 'another organization than that of the transaction' USING ERRCODE = 'insufficient_privilege';
    END IF;`;

/** The columns of an entry, in the order in which they are hashed. */
const HASHED = [
  'org_id',
  'seq',
  'request_id',
  'kind',
  'attempt',
  'at_ms',
  'project_id',
  'synthetic',
  'auto',
  'decision_source',
  'decision_id',
  'baseline_provider',
  'baseline_model',
  'served_provider',
  'served_model',
  'usage',
  'served_prices',
  'served_price_version',
  'actual_nano_usd',
  'baseline_usage',
  'baseline_method',
  'baseline_prices',
  'baseline_price_version',
  'baseline_nano_usd',
  'savings_nano_usd',
];

/**
 * Whoever else adds entries of the organization waits until this transaction ends, so that numbers become visible in
 * their order. The head is the last lock that a transaction of the record store takes.
 *
 * A number follows the last entry that is there, not the last that was given one: ON CONFLICT finds only after this
 * trigger that an entry is there already, and the next one then takes its number. Where the head says that there were
 * more, it goes on from the head, so that what was taken away leaves its gap. The head itself moves once for each
 * statement: written anew for each of five hundred entries it would be a chain of as many versions for each to walk.
 *
 * Connections keep a plan from when the table was small, where a scan of it is cheapest: hence none.
 */
const NUMBER = `
  CREATE FUNCTION number_ledger_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
  DECLARE
    head bigint;
    last bigint;
  BEGIN
    IF NEW.org_id IS NULL THEN
      -- Refused for what it is, before row security takes it for another organization's.
      RAISE EXCEPTION 'an entry without an organization' USING ERRCODE = 'not_null_violation';
    END IF;${ASSERT_SCOPE}
    SELECT h.seq INTO head FROM public.ledger_heads h WHERE h.org_id = NEW.org_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      INSERT INTO public.ledger_heads (org_id, seq) VALUES (NEW.org_id, 0) ON CONFLICT (org_id) DO NOTHING;
      SELECT h.seq INTO STRICT head FROM public.ledger_heads h WHERE h.org_id = NEW.org_id FOR NO KEY UPDATE;
    END IF;
    NEW.actual_nano_usd := trim_scale(NEW.actual_nano_usd);
    NEW.baseline_nano_usd := trim_scale(NEW.baseline_nano_usd);
    NEW.savings_nano_usd := trim_scale(NEW.savings_nano_usd);
    IF NEW.actual_nano_usd IS DISTINCT FROM
         public.ledger_cost(NEW.usage, NEW.served_prices, NEW.kind = 'adjustment')
       OR NEW.baseline_nano_usd IS DISTINCT FROM
         public.ledger_cost(NEW.baseline_usage, NEW.baseline_prices, NEW.kind = 'adjustment') THEN
      RAISE EXCEPTION 'an amount does not follow from usage and prices' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT l.seq INTO last FROM public.savings_ledger l
     WHERE l.org_id = NEW.org_id AND l.seq > head ORDER BY l.seq DESC LIMIT 1;
    NEW.seq := greatest(last, head) + 1;
    NEW.entry_hash := sha256(convert_to(public.ledger_field('shunt-ledger-1')
      ${HASHED.map((column) => `|| public.ledger_field(NEW.${column}::text)`).join(' ')}, 'UTF8'));
    RETURN NEW;
  END $$;
  REVOKE ALL ON FUNCTION number_ledger_entry() FROM PUBLIC;
  CREATE TRIGGER savings_ledger_numbered BEFORE INSERT ON savings_ledger
    FOR EACH ROW EXECUTE FUNCTION number_ledger_entry();

  CREATE FUNCTION move_ledger_head() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    UPDATE public.ledger_heads h SET seq = a.last
      FROM (SELECT n.org_id, max(n.seq) AS last FROM added n GROUP BY n.org_id) AS a WHERE h.org_id = a.org_id;
    RETURN NULL;
  END $$;
  REVOKE ALL ON FUNCTION move_ledger_head() FROM PUBLIC;
  CREATE TRIGGER savings_ledger_head AFTER INSERT ON savings_ledger REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION move_ledger_head();
`;

/** Everything of a seal but its signature is checked here: the key is not in the database. */
const LINK = `
  CREATE FUNCTION link_seal() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  DECLARE
    before record;
    entries record;
  BEGIN ${ASSERT_SCOPE}
    SELECT s.seq, upper(s.range) AS next, s.hash INTO before
      FROM public.seals s WHERE s.org_id = NEW.org_id ORDER BY s.seq DESC LIMIT 1;
    SELECT count(*) AS count, sha256(string_agg(l.entry_hash, ''::bytea ORDER BY l.seq)) AS root INTO entries
      FROM public.savings_ledger l
     WHERE l.org_id = NEW.org_id AND l.seq >= lower(NEW.range) AND l.seq < upper(NEW.range);
    IF NEW.seq IS DISTINCT FROM coalesce(before.seq, 0) + 1
       OR lower(NEW.range) IS DISTINCT FROM coalesce(before.next, 1)
       OR NEW.prev IS DISTINCT FROM coalesce(before.hash, decode(repeat('00', 32), 'hex'))
       OR entries.count IS DISTINCT FROM upper(NEW.range) - lower(NEW.range)
       OR NEW.root IS DISTINCT FROM entries.root
       OR NEW.hash IS DISTINCT FROM sha256(convert_to(
            public.ledger_field('shunt-seal-1') || public.ledger_field(NEW.org_id::text)
            || public.ledger_field(NEW.seq::text) || public.ledger_field(lower(NEW.range)::text)
            || public.ledger_field((upper(NEW.range) - 1)::text) || public.ledger_field(encode(NEW.root, 'hex'))
            || public.ledger_field(encode(NEW.prev, 'hex'))
            || public.ledger_field(to_char(NEW.sealed_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 'UTF8')) THEN
      RAISE EXCEPTION 'a seal does not continue the chain' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
  END $$;
  REVOKE ALL ON FUNCTION link_seal() FROM PUBLIC;
  CREATE TRIGGER seals_linked BEFORE INSERT ON seals FOR EACH ROW EXECUTE FUNCTION link_seal();
`;

/** Whose ledger has entries without a seal, by their ids, so that a caller can go round in bounded steps. */
const UNSEALED = `
  CREATE FUNCTION organizations_with_unsealed_entries(after_org uuid, at_most integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.org_id FROM public.ledger_heads h
     WHERE h.org_id > after_org AND h.seq >= coalesce(
             (SELECT upper(s.range) FROM public.seals s WHERE s.org_id = h.org_id ORDER BY s.seq DESC LIMIT 1), 1)
     ORDER BY h.org_id LIMIT least(at_most, 1000)
  $$;
  REVOKE ALL ON FUNCTION organizations_with_unsealed_entries(uuid, integer) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION organizations_with_unsealed_entries(uuid, integer) TO shunt_runtime;
`;

const GRANTS = `
  GRANT SELECT ON savings_ledger, ledger_heads, seals TO shunt_runtime;
  GRANT INSERT (${HASHED.filter((column) => column !== 'seq').join(', ')}) ON savings_ledger TO shunt_runtime;
  GRANT INSERT ON seals TO shunt_runtime;
`;

/**
 * What outlives an organization is a list in the function that erases its rows; the ledger and its seals are in it, the
 * heads are added. Of the function nothing else is touched.
 */
const KEEP_HEADS = `
  DO $migration$
  DECLARE
    definition text := pg_get_functiondef('public.erase_organization_rows(uuid, integer)'::regprocedure);
  BEGIN
    IF strpos(definition, '''ledger_heads''') > 0 THEN
      RETURN;
    END IF;
    IF strpos(definition, '''savings_ledger'', ') = 0 THEN
      RAISE EXCEPTION 'the list of what outlives an organization is not where it was';
    END IF;
    EXECUTE replace(definition, '''savings_ledger'', ', '''savings_ledger'', ''ledger_heads'', ');
  END $migration$;
`;
