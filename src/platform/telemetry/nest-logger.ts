import type { LoggerService } from '@nestjs/common';
import { safeError, type Logger } from './logger.js';

/** The framework's own log lines, in the product's format; its start-up chatter only at debug. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown): void {
    this.logger.debug(textOf(message));
  }

  verbose(message: unknown): void {
    this.logger.trace(textOf(message));
  }

  debug(message: unknown): void {
    this.logger.debug(textOf(message));
  }

  warn(message: unknown): void {
    this.logger.warn(textOf(message));
  }

  /** The framework gives whatever was thrown: it may quote content, its place may not. */
  error(message: unknown): void {
    this.logger.error({ err: safeError(message) }, 'the framework reported an error');
  }
}

function textOf(message: unknown): string {
  return typeof message === 'string' ? message : 'the framework reported something';
}
