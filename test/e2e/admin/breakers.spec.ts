import { afterAll, beforeAll, expect, test } from 'vitest';
import { signInOperator, type AdminClient } from '../../support/admin-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let gateway: TestGateway;
let operator: AdminClient;
beforeAll(async () => {
  gateway = await startGateway();
  operator = await signInOperator(gateway);
});
afterAll(() => gateway?.stop());

test('an operator sees which model fails, and for whom its breaker is open', async () => {
  for (let i = 0; i < 12; i += 1) {
    const answer = await fetch(`${gateway.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.projectKey}`, 'x-sandbox': 'status=503' },
      body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
    });
    await answer.arrayBuffer();
  }
  await expect
    .poll(async () => (await operator.call('GET', '/breakers')).body)
    .toMatchObject({
      data: [
        { provider: 'openai', model: 'gpt-5.4', synthetic: true, state: 'open', open_for: 'some' },
      ],
    });
});
