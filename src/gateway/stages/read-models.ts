import { PROVIDERS, type Provider } from '../../domain/routing/provider.js';
import type { PriceBook } from '../../modules/catalog/price-book.js';
import type { WireFormat } from '../../modules/providers/wire-format.js';
import type { Admitted, Authenticated } from '../call.js';
import type { RequestFacts } from '../body/request-facts.js';
import { Refusal } from '../gateway-error.js';
import { listed } from './header-list.js';
import { modelName } from './model-name.js';

/** The model of a call that leaves the choice to the router. */
export const AUTO_MODEL = 'shunt/auto';
/** The model that is to serve, exactly, whatever the body names. */
const OVERRIDE_HEADER = 'x-shunt-model';

export type Models = Pick<Admitted, 'model' | 'requested' | 'override'>;

/** As providers name their models; what does not look like it is refused before it reaches one. */
export const MODEL_NAME = /^[\w.:/@+-]{1,200}$/;

/** Their bodies name models of their own, or none: there is nothing to be replaced. */
const LEFT_ALONE: ReadonlySet<WireFormat> = new Set<WireFormat>(['opaque', 'google_embed_content']);

/** Whose models there are. */
export type KnownModels = Pick<PriceBook, 'canonicalModel'>;

/**
 * The models that a call speaks of. An SDK sends its default headers with every call, so the override is left alone
 * where a call names no model; where it names one twice, nobody could say which of the two was replaced.
 */
export function readModels(
  call: Authenticated,
  facts: RequestFacts,
  known: KnownModels,
): Models | Refusal {
  const { route, req } = call;
  const named = route.pathModel ?? facts.model;
  const model = named === null ? null : modelName(route.provider, named);
  const isAuto = model === AUTO_MODEL;
  const header = LEFT_ALONE.has(route.format) ? undefined : req.headers[OVERRIDE_HEADER];
  if (!isAuto && header === undefined) return { model, requested: model, override: null };
  const isReplaceable = route.pathModel !== null || (model !== null && !facts.modelAmbiguous);
  if (!isReplaceable) return new Refusal('model_not_replaceable');
  const override = header === undefined ? null : overrideOf(header, route.provider);
  if (override instanceof Refusal) return override;
  const requested = isAuto ? defaultModelOf(call, known) : model;
  if (requested instanceof Refusal) return requested;
  // `shunt/auto` in the header asks for what the body could have asked for itself.
  return { model, requested, override: override === AUTO_MODEL ? null : override };
}

/** Sent more than once, by an SDK and by a call, it must name the same model each time. */
function overrideOf(header: string | string[], provider: Provider): string | Refusal {
  const named = listed(header).map((name) => modelName(provider, name));
  const [name = '', ...others] = new Set(named);
  return others.length === 0 && MODEL_NAME.test(name) ? name : new Refusal('override_invalid');
}

/** One that is nobody's yet may be new: its provider will say. */
function defaultModelOf({ principal, route }: Authenticated, known: KnownModels): string | Refusal {
  if (principal.defaultModel === null) return new Refusal('default_model_missing');
  const model = modelName(route.provider, principal.defaultModel);
  const isOf = (provider: Provider): boolean => known.canonicalModel(provider, model) !== null;
  const isElsewhere = !isOf(route.provider) && PROVIDERS.some(isOf);
  return isElsewhere ? new Refusal('default_model_elsewhere') : model;
}
