import { generateSecret, generateURI, verify } from 'otplib';

/** Seconds to either side of now that a code is still taken in: clocks differ, and typing takes time. */
const TOLERANCE_SECONDS = 30;
const CODE = /^\d{6}$/;

/** Base32, 160 bits. */
export function newTotpSecret(): string {
  return generateSecret();
}

/** For the QR code of an authenticator app. */
export function totpUri(label: string, secret: string): string {
  return generateURI({ issuer: 'Shunt', label, secret });
}

/**
 * The time step of a right code that lies after `lastStep`, null otherwise. Store the step before letting anybody
 * in: that is what makes a code work once.
 */
export async function totpStep(
  secret: string,
  code: string,
  lastStep: number,
): Promise<number | null> {
  if (!CODE.test(code)) return null;
  const result = await verify({ secret, token: code, epochTolerance: TOLERANCE_SECONDS });
  // Not the library's own `afterTimeStep`: it throws where that lies ahead, as after a clock was set back.
  if (!result.valid || !('timeStep' in result)) return null;
  return result.timeStep > lastStep ? result.timeStep : null;
}
