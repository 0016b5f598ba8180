import type { BootstrapResult, FirstInstallation } from './modules/bootstrap/bootstrap.js';

/** What a person reads at the end of a start; the secrets of a first start are in it, and nowhere else again. */
export function welcome(
  origin: string,
  bootstrapped: BootstrapResult | null,
  heading = 'Shunt listens on',
): string {
  const lines = [`${heading} ${origin}`];
  if (bootstrapped === null) lines.push(...pointers(origin));
  else if (bootstrapped.kind === 'instructions') lines.push(bootstrapped.message);
  else lines.push(...firstStart(origin, bootstrapped));
  return `\n${lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n')}\n\n`;
}

function pointers(origin: string): string[] {
  return [
    `OpenAI base URL  ${origin}/openai/v1   (the project key was printed at the first start)`,
  ];
}

function firstStart(origin: string, made: FirstInstallation): string[] {
  const taken =
    made.providerKeysTaken.length > 0
      ? [`Provider keys were taken from the environment: ${made.providerKeysTaken.join(', ')}.`]
      : [
          'There is no provider key yet: the sandbox answers, and its calls are marked synthetic.',
          'Add a key of yours: npm run shunt -- provider-keys set --help',
        ];
  if (made.secrets === null)
    return [`Created ${made.organizationName} for ${made.ownerEmail}.`, ...taken];
  const { ownerPassword, projectKey, operatorName, operatorSecret, operatorTotpSecret } =
    made.secrets;
  return [
    '',
    'This is the first start. What follows is shown once: keep it.',
    '',
    `project key      ${projectKey}`,
    `owner            ${made.ownerEmail}  ${ownerPassword}`,
    `operator         ${operatorName}  secret ${operatorSecret}  TOTP ${operatorTotpSecret}`,
    '',
    ...taken,
    '',
    'Try it:',
    '',
    `curl ${origin}/v1/chat/completions -H 'authorization: Bearer ${projectKey}' \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '{"model":"gpt-5.4","messages":[{"role":"user","content":"Hello"}]}'`,
    '',
    'See what was recorded of it, a second later:',
    '',
    `curl '${origin}/shunt/v1/requests?limit=1' -H 'authorization: Bearer ${projectKey}'`,
  ];
}
