/** What an operator's sealed TOTP secret is bound to. */
export function operatorTotpAad(operatorId: string): string {
  return `operator:${operatorId}:totp`;
}
