/** The shape of a request and its answer on the wire, whoever the provider is (Groq speaks `openai_chat`). */
export type WireFormat =
  | 'openai_chat'
  | 'openai_responses'
  | 'openai_embeddings'
  | 'anthropic_messages'
  | 'anthropic_count_tokens'
  | 'google_generate_content'
  | 'google_count_tokens'
  | 'google_embed_content'
  /** Relayed without being read: model lists, files, batches, images. */
  | 'opaque';

/** The name of what a call does, kept with its record and used as a metric label; a closed set. */
export type Operation =
  | 'chat'
  | 'responses'
  | 'messages'
  | 'generate_content'
  | 'embeddings'
  | 'count_tokens'
  | 'models'
  | 'other';
