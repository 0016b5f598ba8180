import type { WireFormat } from '../../modules/providers/wire-format.js';
import type { Admitted, Authenticated } from '../call.js';
import type { RequestFacts } from '../body/request-facts.js';
import { Refusal } from '../gateway-error.js';

/** The model of a call that leaves the choice to the router. */
export const AUTO_MODEL = 'shunt/auto';
/** The model that is to serve, exactly, whatever the body names. */
const OVERRIDE_HEADER = 'x-shunt-model';

export type Models = Pick<Admitted, 'model' | 'requested' | 'override'>;

/** As providers name their models; what does not look like it is refused before it reaches one. */
export const MODEL_NAME = /^[\w.:/@+-]{1,200}$/;

/** Their bodies name models of their own, or none: there is nothing to be replaced. */
const LEFT_ALONE: ReadonlySet<WireFormat> = new Set<WireFormat>(['opaque', 'google_embed_content']);

/**
 * The models that a call speaks of. An SDK sends its default headers with every call, so the override is left alone
 * where a call names no model; where it names one twice, nobody could say which of the two was replaced.
 */
export function readModels(call: Authenticated, facts: RequestFacts): Models | Refusal {
  const { route, req, principal } = call;
  const model = route.pathModel ?? facts.model;
  const isAuto = model === AUTO_MODEL;
  const header = LEFT_ALONE.has(route.format) ? undefined : req.headers[OVERRIDE_HEADER];
  if (!isAuto && header === undefined) return { model, requested: model, override: null };
  const isReplaceable = route.pathModel !== null || (model !== null && !facts.modelAmbiguous);
  if (!isReplaceable) return new Refusal('model_not_replaceable');
  if (header !== undefined && (typeof header !== 'string' || !MODEL_NAME.test(header))) {
    return new Refusal('override_invalid');
  }
  const requested = isAuto ? principal.defaultModel : model;
  if (requested === null) return new Refusal('default_model_missing');
  // `shunt/auto` in the header asks for what the body could have asked for itself.
  const override = header === undefined || header === AUTO_MODEL ? null : header;
  return { model, requested, override };
}
