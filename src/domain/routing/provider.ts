/** The providers whose APIs Shunt speaks. */
export const PROVIDERS = ['openai', 'anthropic', 'google', 'groq'] as const;

export type Provider = (typeof PROVIDERS)[number];
