import { expect, test } from 'vitest';
import { refuseRealUpstream } from './installation.js';
import { StepFailed } from './screen.js';

const HERE = 'http://127.0.0.1:4010/openai/v1';

test('refuses every upstream that is not on this machine', () => {
  expect(() => refuseRealUpstream({ openai: HERE, groq: HERE })).not.toThrow();
  for (const url of [
    'https://api.openai.com/v1',
    'http://127.0.0.1.example.test/v1',
    'http://127.0.0.1@api.groq.com',
  ]) {
    expect(() => refuseRealUpstream({ openai: HERE, groq: url })).toThrow(StepFailed);
  }
});
