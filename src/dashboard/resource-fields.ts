import { z } from 'zod';
import { PROVIDERS } from '../domain/routing/provider.js';

/** Bounds of what an organization or a project is given; wider ones would only slow every call down. */
const NAME_CHARS_MAX = 200;
const MODEL_CHARS_MAX = 200;
const MODELS_MAX = 500;
const PATH_CHARS_MAX = 300;
const PATHS_MAX = 100;
const BODY_LIMIT_BYTES_MAX = 2 ** 31 - 1;
const ID_CHARS_MAX = 100;
const TARGETS_MAX = 8;
const CONTROL_SHARE_BP_MAX = 5_000;

const name = z
  .string()
  .trim()
  .min(1, 'needs a character at least')
  .max(NAME_CHARS_MAX, `takes up to ${NAME_CHARS_MAX} characters`)
  .refine(isPlainText, 'takes no control characters');

/** An exact name, or a prefix such as `gpt-5*`. */
const model = z
  .string()
  .max(MODEL_CHARS_MAX, `takes models of up to ${MODEL_CHARS_MAX} characters`)
  .regex(/^[\x21-\x7e]+$/, 'takes names of models, or prefixes such as gpt-5*');

const path = z
  .string()
  .max(PATH_CHARS_MAX, `takes paths of up to ${PATH_CHARS_MAX} characters`)
  .regex(
    new RegExp(`^(?:${PROVIDERS.join('|')}):/[\\x21-\\x7e]*$`),
    'takes paths such as openai:/files*',
  );

const allowedProviders = z
  .array(z.enum(PROVIDERS, `takes ${PROVIDERS.join(', ')}`))
  .max(PROVIDERS.length, 'names a provider twice')
  .nullable();
const allowedModels = z.array(model).max(MODELS_MAX, `takes up to ${MODELS_MAX} models`).nullable();

/** An exact name, as the provider writes it. */
const target = z.strictObject({
  provider: z.enum(PROVIDERS, `takes ${PROVIDERS.join(', ')}`),
  model: z
    .string('takes the name of a model')
    .max(MODEL_CHARS_MAX, `takes models of up to ${MODEL_CHARS_MAX} characters`)
    .regex(/^[\w.:/@+-]+$/, 'takes the exact name of a model'),
});

/** Fields that more than one resource has. Null lifts a limit. */
export const FIELDS = {
  id: z.string().max(ID_CHARS_MAX),
  name,
  model,
  allowedProviders,
  allowedModels,
  crossProviderOptIn: z
    .array(z.enum(PROVIDERS, `takes ${PROVIDERS.join(', ')}`))
    .max(PROVIDERS.length, 'names a provider twice'),
  targets: z
    .array(target)
    .min(1, 'names no model')
    .max(TARGETS_MAX, `takes up to ${TARGETS_MAX} models`),
  fallbackModels: z.array(target).max(TARGETS_MAX, `takes up to ${TARGETS_MAX} models`),
  controlShareBp: z
    .int('takes hundredths of a percent')
    .min(0, 'takes 0 at least')
    .max(
      CONTROL_SHARE_BP_MAX,
      `takes up to ${CONTROL_SHARE_BP_MAX}, which is half of the sessions`,
    ),
  allowedPaths: z.array(path).max(PATHS_MAX, `takes up to ${PATHS_MAX} paths`),
  bodyLimitBytes: z
    .int('takes a whole number of bytes')
    .min(1, 'takes a whole number of bytes')
    .max(BODY_LIMIT_BYTES_MAX, `takes up to ${BODY_LIMIT_BYTES_MAX} bytes`)
    .nullable(),
};

/** No NUL, which a database does not store, and nothing that breaks a line of a log or a table. */
function isPlainText(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}
