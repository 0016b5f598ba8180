/** Files as providers write them, with the columns that are known of them (docs/reports.md). */
export const OPENAI_COST_HEADER =
  'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id';
export const OPENAI_USAGE_HEADER =
  'start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens';
export const ANTHROPIC_COST_HEADER =
  'usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type';
export const ANTHROPIC_USAGE_HEADER =
  'usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count';

const DAY_SECONDS = 86_400;

function times(day: string): string {
  const start = Date.parse(day) / 1000;
  const next = new Date((start + DAY_SECONDS) * 1000).toISOString().slice(0, 10);
  return `${start},${start + DAY_SECONDS},${day}T00:00:00+00:00,${next}T00:00:00+00:00`;
}

export const openaiCost = (day: string, item: string, amount: string): string =>
  `${times(day)},${amount},usd,"${item}",proj_1,org-1`;
export const openaiEmptyDay = (day: string): string => `${times(day)},,,,,`;
export const openaiUsage = (day: string, model: string, input: number, output: number): string =>
  `${times(day)},proj_1,3,,key_1,${model},False,default,${input},${output},0`;
export const anthropicCost = (
  day: string,
  model: string,
  usd: string,
  key = 'Production',
): string => `${day},${model},Default,${key},message,≤ 200k,output,${usd},token`;
export const anthropicUsage = (
  day: string,
  model: string,
  tokens: readonly [number, number, number, number, number],
): string => `${day},${model},Production,Default,standard,≤ 200k,${tokens.join(',')},0`;

/** In pieces, as a network delivers it; some split a character. */
export async function* fileOf(lines: readonly string[], piece = 37): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(lines.join('\n'));
  for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
}
