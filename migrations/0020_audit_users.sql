-- Who stands behind the pseudonyms of the audit, which itself names no end user any more. A row is all that links a pseudonym
-- with a person: it is deleted when they are to be forgotten, and what the audit keeps stays as it is.

CREATE TABLE audit_users (
  -- '' for entries that concern no tenant.
  tenant TEXT NOT NULL,
  -- By the tenant's own naming; of a caller: the id that stands for who came with another issuer's token.
  user TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'caller')),
  -- Random: nothing else tells of the person.
  pseudonym TEXT NOT NULL UNIQUE
    CHECK (length(pseudonym) = 36 AND pseudonym GLOB 'usr_*' AND substr(pseudonym, 5) NOT GLOB '*[^0-9a-f]*'),
  -- Of a caller: the user for whom they came first, with whom they are forgotten. NULL: they came for none.
  owner TEXT,
  PRIMARY KEY (tenant, user, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_users_by_owner ON audit_users (tenant, owner) WHERE owner IS NOT NULL;

-- What was written before is carried over, once: persons get pseudonyms; texts that could tell of a person and that nothing could
-- take back are taken out (labels of accounts, names of keys that are bound to a user, subjects of other issuers).
DROP TRIGGER access_audit_no_update;

INSERT INTO audit_users (tenant, user, kind, pseudonym)
SELECT tenant, user, kind, 'usr_' || lower(hex(randomblob(16))) FROM (
  SELECT coalesce(tenant, '') AS tenant, substr(actor, 6) AS user, 'user' AS kind FROM access_audit WHERE actor LIKE 'user:%'
  UNION SELECT coalesce(tenant, ''), substr(actor, 7), 'caller' FROM access_audit WHERE actor LIKE 'token:%'
  UNION SELECT coalesce(tenant, ''), detail ->> '$.user', 'user' FROM access_audit WHERE detail ->> '$.user' IS NOT NULL
  UNION SELECT tenant, user, 'user' FROM credential_uses WHERE user IS NOT NULL
);

UPDATE access_audit SET actor = 'user:' || (
  SELECT pseudonym FROM audit_users u
  WHERE u.tenant = coalesce(access_audit.tenant, '') AND u.user = substr(actor, 6) AND u.kind = 'user')
WHERE actor LIKE 'user:%';

UPDATE access_audit SET actor = 'token:' || (
  SELECT pseudonym FROM audit_users u
  WHERE u.tenant = coalesce(access_audit.tenant, '') AND u.user = substr(actor, 7) AND u.kind = 'caller')
WHERE actor LIKE 'token:%';

UPDATE access_audit SET detail = json_remove(json_set(detail, '$.user', (
  SELECT pseudonym FROM audit_users u
  WHERE u.tenant = coalesce(access_audit.tenant, '') AND u.user = detail ->> '$.user' AND u.kind = 'user')), '$.name')
WHERE detail ->> '$.user' IS NOT NULL;

UPDATE access_audit SET detail = json_remove(detail, '$.account')
WHERE action LIKE 'connection.%' AND json_type(detail, '$.account') IS NOT NULL;

UPDATE access_audit SET detail = json_remove(detail, '$.rules')
WHERE action IN ('issuer.trust', 'issuer.change', 'issuer.distrust');

CREATE TRIGGER access_audit_no_update BEFORE UPDATE ON access_audit
BEGIN
  SELECT RAISE(ABORT, 'access_audit is append-only');
END;

UPDATE credential_uses SET credential = json_remove(credential, '$.account')
WHERE json_type(credential, '$.account') IS NOT NULL;

UPDATE credential_uses SET user = (
  SELECT pseudonym FROM audit_users u
  WHERE u.tenant = credential_uses.tenant AND u.user = credential_uses.user AND u.kind = 'user')
WHERE user IS NOT NULL;

-- Whose a caller is, is known from now on, when they come again.

-- A slip of the code shall not name a person where nobody could take it back.
CREATE TRIGGER access_audit_no_names BEFORE INSERT ON access_audit
WHEN (NEW.actor LIKE 'user:%' AND NEW.actor NOT GLOB 'user:usr_*')
  OR (NEW.actor LIKE 'token:%' AND NEW.actor NOT GLOB 'token:usr_*')
BEGIN
  SELECT RAISE(ABORT, 'access_audit names nobody');
END;

CREATE TRIGGER credential_uses_no_names BEFORE INSERT ON credential_uses
WHEN NEW.user IS NOT NULL AND NEW.user NOT GLOB 'usr_*'
BEGIN
  SELECT RAISE(ABORT, 'credential_uses names nobody');
END;
