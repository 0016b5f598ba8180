/** Imports run one way: domain <- modules <- the entries (gateway, jobs, admin, ...); platform is for all but domain. */
const ENTRIES = 'gateway|jobs|admin|dashboard|webhooks|operations|application-api|cli|sandbox';

const fence = (name, packages, home) => ({
  name: `only-${name}-imports-its-library`,
  comment: `${packages} is imported from one place, so that it can be replaced in one place.`,
  severity: 'error',
  from: { path: '(^|/)src/', pathNot: home },
  to: { path: `node_modules/(${packages})/` },
});

module.exports = {
  forbidden: [
    {
      name: 'domain-is-pure',
      comment: 'Decisions are pure: no Nest, no npm, no I/O.',
      severity: 'error',
      from: { path: '(^|/)src/domain/', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: '(^|/)src/domain/' },
    },
    {
      name: 'platform-knows-no-business',
      severity: 'error',
      from: { path: '(^|/)src/platform/' },
      to: { path: `(^|/)src/(modules|domain|${ENTRIES})/` },
    },
    {
      name: 'modules-do-not-know-their-callers',
      severity: 'error',
      from: { path: '(^|/)src/modules/' },
      to: { path: `(^|/)src/(${ENTRIES})/` },
    },
    {
      name: 'entries-do-not-know-each-other',
      severity: 'error',
      from: { path: `(^|/)src/(${ENTRIES})/` },
      to: { path: `(^|/)src/(${ENTRIES})/`, pathNot: '(^|/)src/$2/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-test-code-in-the-product',
      severity: 'error',
      from: { path: '(^|/)src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '(^|/)test/support/|\\.spec\\.ts$' },
    },
    fence('postgres', 'typeorm|pg', '(^|/)src/platform/postgres/'),
    fence('redis', 'ioredis', '(^|/)src/platform/redis/'),
    fence('catalog', '@pydantic/genai-prices', '(^|/)src/modules/catalog/'),
    fence('tokenizer', 'tiktoken', '(^|/)src/modules/tokenizer/'),
    fence('queue', 'bullmq|@nestjs/bullmq', '(^|/)src/(platform/queue|jobs)/'),
    fence('resilience', 'opossum', '(^|/)src/modules/resilience/'),
    fence('mail', 'nodemailer', '(^|/)src/modules/mail/'),
    fence('billing', '@paddle/paddle-node-sdk', '(^|/)src/modules/billing/'),
    fence('totp', 'otplib', '(^|/)src/platform/crypto/totp'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
    },
  },
};
