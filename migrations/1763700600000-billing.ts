import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the payment provider tells: an inbox of its events, each kept once, and the newest state of every subscription
 * as these events tell it. Both hold ids, times, states and the plan's figures: no name, address or card of anybody.
 *
 * Events of no known organization have the nil UUID. Who a subscription belongs to is decided once, by the first event
 * that says so; before that is known no organization can be asked, hence the two functions of the owner.
 */
export class Billing1763700600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(FUNCTIONS);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION find_billing_owner(text, text, uuid);
      DROP FUNCTION attribute_billing_events(uuid, text, text, integer);
      DROP TABLE billing_reconciliation, billing_inbox, billing_subscriptions, billing_customers;
    `);
  }
}

const NOBODY = "'00000000-0000-0000-0000-000000000000'";

const TABLES = `
  CREATE TABLE billing_inbox (
    -- Unique without the organization: an event is delivered many times, and may be heard of before its organization is.
    -- Of two events of one moment the greater id is the newer one, byte by byte, as the domain compares them.
    event_id text COLLATE "C" PRIMARY KEY CHECK (event_id ~ '^[A-Za-z0-9_-]{1,120}$'),
    org_id uuid NOT NULL,
    type text NOT NULL CHECK (type ~ '^[A-Za-z0-9_.-]{1,80}$'),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    subscription_id text CHECK (subscription_id ~ '^[a-z]{1,10}_[A-Za-z0-9]{1,60}$'),
    customer_id text CHECK (customer_id ~ '^[a-z]{1,10}_[A-Za-z0-9]{1,60}$'),
    -- The organization that the event itself names, whether or not there is one.
    claimed_org_id uuid,
    -- Reduced to what is listed in modules/billing/paddle-event.ts.
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 8192),
    -- noted: a kind of event that changes nothing. older: a newer one was applied. conflicting: it names another
    -- organization than the one that its subscription belongs to.
    state text NOT NULL CHECK (state IN ('unattributed', 'applied', 'older', 'noted', 'conflicting')),
    CHECK (org_id <> ${NOBODY} OR state = 'unattributed')
  );
  CREATE INDEX billing_inbox_of_organization ON billing_inbox (org_id, occurred_at);
  CREATE INDEX billing_inbox_waiting_by_subscription ON billing_inbox (subscription_id) WHERE org_id = ${NOBODY};
  CREATE INDEX billing_inbox_waiting_by_customer ON billing_inbox (customer_id) WHERE org_id = ${NOBODY};

  CREATE TABLE billing_customers (
    org_id uuid NOT NULL REFERENCES organizations (id),
    customer_id text NOT NULL,
    PRIMARY KEY (org_id, customer_id)
  );
  CREATE INDEX billing_customers_by_id ON billing_customers (customer_id);

  CREATE TABLE billing_subscriptions (
    org_id uuid NOT NULL REFERENCES organizations (id),
    -- Unique without the organization: it is what the organization of an event is found by.
    subscription_id text NOT NULL UNIQUE,
    customer_id text,
    -- What follows is the newest event's; null while only the organization is known.
    status text CHECK (status IN ('active', 'trialing', 'past_due', 'paused', 'canceled')),
    occurred_at timestamptz,
    event_id text COLLATE "C",
    price_id text,
    product_id text,
    quantity integer CHECK (quantity >= 0),
    scheduled_change jsonb,
    next_billed_at timestamptz,
    period_ends_at timestamptz,
    plan text CHECK (length(plan) <= 60),
    seats integer CHECK (seats >= 0),
    retention_days integer CHECK (retention_days >= 0),
    requests_per_month bigint CHECK (requests_per_month >= 0),
    -- The last event that told of its end, the newest event or not.
    last_end_at timestamptz,
    last_end_event_id text COLLATE "C",
    PRIMARY KEY (org_id, subscription_id),
    CHECK ((status IS NULL) = (occurred_at IS NULL) AND (status IS NULL) = (event_id IS NULL))
  );

  -- Where the nightly comparison with the provider goes on; it reads everybody's subscriptions, page by page.
  CREATE TABLE billing_reconciliation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    after text
  );
  INSERT INTO billing_reconciliation DEFAULT VALUES;
`;

const ISOLATION = ['billing_inbox', 'billing_customers', 'billing_subscriptions']
  .map(
    (table) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
  ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON ${table}
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);`,
  )
  .join('');

/**
 * `find_billing_owner` answers whose a subscription is, whether the claimed organization exists (an erased one does
 * not; that column is a later migration's, hence the detour), and how many organizations have a customer, naming the
 * one where it is one. `attribute_billing_events` hands waiting events to their organization, as many as it is told.
 */
const FUNCTIONS = `
  CREATE POLICY owner_reads ON billing_subscriptions FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON billing_customers FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_attributes ON billing_inbox TO CURRENT_USER USING (true) WITH CHECK (true);

  CREATE FUNCTION find_billing_owner(subscription text, customer text, claimed uuid)
    RETURNS TABLE (linked uuid, claim_exists boolean, customer_of uuid, customer_count integer)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT (SELECT s.org_id FROM public.billing_subscriptions s WHERE s.subscription_id = subscription),
           EXISTS (SELECT FROM public.organizations o
                    WHERE o.id = claimed AND to_jsonb(o) ->> 'erased_at' IS NULL),
           CASE WHEN c.count = 1 THEN c.ids[1] END, c.count::integer
      FROM (SELECT count(*), array_agg(b.org_id) AS ids FROM public.billing_customers b
             WHERE b.customer_id = customer) AS c
  $$;
  REVOKE ALL ON FUNCTION find_billing_owner(text, text, uuid) FROM PUBLIC;

  CREATE FUNCTION attribute_billing_events(org uuid, subscription text, customer text, at_most integer)
    RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    attributed integer;
  BEGIN
    IF org IS DISTINCT FROM nullif(current_setting('shunt.org_id', true), '')::uuid OR org = ${NOBODY} THEN
      RAISE EXCEPTION 'another organization than that of the transaction' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (SELECT count(*) FROM public.billing_customers c WHERE c.customer_id = customer) <> 1 THEN
      customer := NULL;
    END IF;
    UPDATE public.billing_inbox i SET org_id = org
     WHERE i.event_id IN (
       SELECT w.event_id FROM public.billing_inbox w
        WHERE w.org_id = ${NOBODY}
          AND (w.subscription_id = subscription
               OR (w.customer_id = customer AND w.claimed_org_id IS NULL AND NOT EXISTS (
                     SELECT FROM public.billing_subscriptions s
                      WHERE s.subscription_id = w.subscription_id AND s.org_id <> org)))
        ORDER BY w.occurred_at LIMIT at_most);
    GET DIAGNOSTICS attributed = ROW_COUNT;
    RETURN attributed;
  END $$;
  REVOKE ALL ON FUNCTION attribute_billing_events(uuid, text, text, integer) FROM PUBLIC;
`;

const GRANTS = `
  GRANT EXECUTE ON FUNCTION find_billing_owner(text, text, uuid) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION attribute_billing_events(uuid, text, text, integer) TO shunt_runtime;
  GRANT SELECT, INSERT ON billing_inbox, billing_customers, billing_subscriptions TO shunt_runtime;
  GRANT UPDATE (state) ON billing_inbox TO shunt_runtime;
  GRANT UPDATE (customer_id, status, occurred_at, event_id, price_id, product_id, quantity, scheduled_change,
                next_billed_at, period_ends_at, plan, seats, retention_days, requests_per_month, last_end_at,
                last_end_event_id) ON billing_subscriptions TO shunt_runtime;
  GRANT SELECT, UPDATE (after) ON billing_reconciliation TO shunt_runtime;
`;
