/** The door of the platform room: what every other room may use of it. */
export {
  type AuditEntry,
  type AuditPerson,
  type AuditSink,
  type CredentialUse,
  isAuditPerson,
  type UseSink,
} from "./audit.ts";
export { type BoundedBody, readBounded } from "./body.ts";
export { canonicalJson, digestJson } from "./canonical.ts";
export { inTime } from "./deadline.ts";
export {
  browserAddress,
  type DevelopmentHosts,
  isDevelopmentBuild,
  parseDevelopmentHosts,
} from "./development.ts";
export { armCrashPoint, crashPoint } from "./crash-points.ts";
export { crc32, hmac, importHmacKey, sameSecret, sha256, sha256Hex } from "./digest.ts";
export {
  type BlockCode,
  createEgress,
  DEFAULT_MAX_RESPONSE_BYTES,
  type Egress,
  type EgressAnswer,
  type EgressConfig,
  type EgressFailureCode,
  type EgressHop,
  type EgressRequest,
  type EgressResult,
  type Permit,
  type PermitRefusal,
  MAX_TIMEOUT_MS,
} from "./egress.ts";
export { base32, base64, base64url, fromBase64, fromHex, hex } from "./encoding.ts";
export { describeError, type ErrorText } from "./errors.ts";
export { classifyFault, type Fault, type FaultKind } from "./faults.ts";
export { isSameOrigin, readForm } from "./form.ts";
export {
  checkUrl,
  isPublicName,
  matchesHost,
  type HostRules,
  type UrlRefusal,
  type UrlRefusalCode,
} from "./hosts.ts";
export { keptHeaders } from "./headers.ts";
export {
  connectionIdOf,
  type ConnectionSlot,
  isConnectionId,
  isEventName,
  isGrantLinkId,
  isName,
  isRunId,
  isSessionId,
  isTenantId,
  OBJECT_KINDS,
  type ObjectKind,
  objectName,
  randomId,
  runIdOf,
  type RunSource,
  sessionIdOfWait,
} from "./ids.ts";
export { type Lease, type LeaseAnswer, type LeaseFinding, type SignedRequest } from "./lease.ts";
export { createLogger, type LogFields, type Logger, type LogLevel, type LogWriter } from "./log.ts";
export { type Filling, html, type Markup, type Page, type PageOptions, pageResponse } from "./page.ts";
export { plainPath } from "./plain-path.ts";
export { createRedactor, type Redacted, type Redactor } from "./redact.ts";
export { err, ok, type Result } from "./result.ts";
export { macOf, openSealed, sealText } from "./seal.ts";
export { holdsSecret, REDACTED, redactShapes } from "./secret-shapes.ts";
export type { Span, SpanSink } from "./spans.ts";
export {
  defineSchema,
  describeSchema,
  dropSchema,
  hasSchema,
  integer,
  integerOrNull,
  migrate,
  type Migration,
  type Row,
  type Schema,
  SchemaError,
  type SqlStore,
  text,
  textOrNull,
} from "./sql.ts";
export { quotaSql, STORED_QUOTAS, type StoredQuota } from "./stored-quotas.ts";
export {
  createStepFetch,
  EgressError,
  MAX_REQUEST_BYTES,
  type StepFetch,
  type StepFetchOptions,
} from "./step-fetch.ts";
export { Watchers } from "./watchers.ts";
export { formatTraceparent, parseTraceparent, spanIdOf, type TraceContext, traceIdOf } from "./trace.ts";
