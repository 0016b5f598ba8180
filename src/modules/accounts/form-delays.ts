import { GrowingDelays } from '../../platform/http/growing-delays.js';

/** Those of the dashboard's forms. Operators have their own: a flood here does not keep them out. */
export class FormDelays extends GrowingDelays {}
