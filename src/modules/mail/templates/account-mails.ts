import { linkBlock, paragraph } from './letter.js';
import { minuteOf } from './mail-data.js';
import type { Template } from './template.js';

export const passwordReset: Template = ({ tokenLink, expiresAtMs }) => ({
  subject: 'Choose a new password for Shunt',
  blocks: [
    paragraph('Somebody, probably you, asked for a new password for your account.'),
    ...(tokenLink ? [linkBlock('Choose a new password', tokenLink)] : []),
    paragraph(`The link works once, until ${minuteOf(expiresAtMs)}.`),
    paragraph('If it was not you, do nothing: your password stays as it is.'),
  ],
});

export const addressConfirmation: Template = ({ tokenLink, link, expiresAtMs }) => ({
  subject: 'Confirm your address for Shunt',
  blocks: [
    paragraph('Somebody, probably you, made an account with this address.'),
    ...(tokenLink ? [linkBlock('Confirm the address, signed in to that account', tokenLink)] : []),
    paragraph(
      `The link works once, until ${minuteOf(expiresAtMs)}. Your account can send another.`,
    ),
    paragraph('If it was not you, do nothing; or choose a password, and the account is yours.'),
    linkBlock('Choose a password', link('/forgot-password')),
  ],
});

const TAKEN_OVER =
  'It was the first time that anybody showed that this address is theirs: a second factor that was set up before is ' +
  'gone. Project keys and provider keys stay as they were. If it was not you who signed up, revoke those.';

export const passwordChanged: Template = ({ data, link }) => ({
  subject: 'Your Shunt password was changed',
  blocks: [
    paragraph('The password of your account was changed, and every other session was signed out.'),
    ...(data.flag('taken_over') ? [paragraph(TAKEN_OVER)] : []),
    paragraph('If it was not you, ask for a new password now, and tell an owner.'),
    linkBlock('Ask for a new password', link('/forgot-password')),
  ],
});

export const emailTaken: Template = ({ link }) => ({
  subject: 'You already have a Shunt account',
  blocks: [
    paragraph('Somebody, probably you, tried to sign up with this address.'),
    paragraph('It has an account already, so nothing was changed: sign in instead.'),
    linkBlock('Sign in', link('/login')),
    linkBlock('If you forgot your password, ask for a new one', link('/forgot-password')),
  ],
});

const ROLES = new Map([
  ['owner', 'an owner'],
  ['admin', 'an admin'],
  ['member', 'a member'],
]);

export const invitation: Template = ({ data, organization, tokenLink, expiresAtMs }) => {
  const role = ROLES.get(data.text('role') ?? '');
  return {
    subject: `You are invited to ${organization} on Shunt`,
    blocks: [
      paragraph(
        `You are invited to join ${organization}${role === undefined ? '' : ` as ${role}`}. ` +
          'Shunt measures what AI calls cost, and can send each to the cheapest model that is good enough.',
      ),
      ...(tokenLink ? [linkBlock('Accept the invitation', tokenLink)] : []),
      paragraph(`The link works once, until ${minuteOf(expiresAtMs)}.`),
      paragraph('If you do not know who invited you, ignore this mail: nothing happens.'),
    ],
  };
};
