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

UPDATE credential_uses SET credential = json_remove(credential, '$.account')
WHERE json_type(credential, '$.account') IS NOT NULL;

UPDATE credential_uses SET user = (
  SELECT pseudonym FROM audit_users u
  WHERE u.tenant = credential_uses.tenant AND u.user = credential_uses.user AND u.kind = 'user')
WHERE user IS NOT NULL;

-- Whose a caller is, is known from now on, when they come again.

-- The code of before goes on for minutes beside this table, and names people: they are replaced as its rows come in. The code of
-- now writes pseudonyms, and neither of these triggers does anything. A tenant may call its users usr_1: a pseudonym has 32 behind it.
CREATE TRIGGER access_audit_names AFTER INSERT ON access_audit
WHEN (NEW.actor LIKE 'user:%' AND NEW.actor NOT GLOB 'user:usr_????????????????????????????????')
  OR (NEW.actor LIKE 'token:%' AND NEW.actor NOT GLOB 'token:usr_????????????????????????????????')
  OR (NEW.detail ->> '$.user') NOT GLOB 'usr_????????????????????????????????'
  OR (NEW.action LIKE 'connection.%' AND json_type(NEW.detail, '$.account') IS NOT NULL)
  OR (NEW.action LIKE 'issuer.%' AND json_type(NEW.detail, '$.rules') = 'text')
BEGIN
  INSERT INTO audit_users (tenant, user, kind, pseudonym)
  SELECT coalesce(NEW.tenant, ''), user, kind, 'usr_' || lower(hex(randomblob(16))) FROM (
    SELECT substr(NEW.actor, 6) AS user, 'user' AS kind WHERE NEW.actor LIKE 'user:%' AND NEW.actor NOT GLOB 'user:usr_????????????????????????????????'
    UNION SELECT substr(NEW.actor, 7), 'caller' WHERE NEW.actor LIKE 'token:%' AND NEW.actor NOT GLOB 'token:usr_????????????????????????????????'
    UNION SELECT NEW.detail ->> '$.user', 'user' WHERE (NEW.detail ->> '$.user') NOT GLOB 'usr_????????????????????????????????'
  ) WHERE true
  ON CONFLICT (tenant, user, kind) DO NOTHING;
  UPDATE access_audit SET
    actor = coalesce((
      SELECT substr(NEW.actor, 1, instr(NEW.actor, ':')) || u.pseudonym FROM audit_users u
      WHERE u.tenant = coalesce(NEW.tenant, '') AND u.user = substr(NEW.actor, instr(NEW.actor, ':') + 1)
        AND u.kind = CASE WHEN NEW.actor LIKE 'user:%' THEN 'user' WHEN NEW.actor LIKE 'token:%' THEN 'caller' END
    ), actor),
    detail = CASE
      WHEN (NEW.detail ->> '$.user') NOT GLOB 'usr_????????????????????????????????' THEN json_remove(json_set(detail, '$.user', (
        SELECT u.pseudonym FROM audit_users u
        WHERE u.tenant = coalesce(NEW.tenant, '') AND u.user = NEW.detail ->> '$.user' AND u.kind = 'user')), '$.name', '$.account')
      WHEN NEW.action LIKE 'connection.%' THEN json_remove(detail, '$.account')
      WHEN NEW.action LIKE 'issuer.%' AND json_type(detail, '$.rules') = 'text' THEN json_remove(detail, '$.rules')
      ELSE detail END
  WHERE seq = NEW.seq;
END;

-- What names nobody is never changed again.
CREATE TRIGGER access_audit_no_update BEFORE UPDATE ON access_audit
WHEN NOT ((OLD.actor LIKE 'user:%' AND OLD.actor NOT GLOB 'user:usr_????????????????????????????????')
  OR (OLD.actor LIKE 'token:%' AND OLD.actor NOT GLOB 'token:usr_????????????????????????????????')
  OR coalesce((OLD.detail ->> '$.user') NOT GLOB 'usr_????????????????????????????????', false)
  OR (OLD.action LIKE 'connection.%' AND json_type(OLD.detail, '$.account') IS NOT NULL)
  OR coalesce(OLD.action LIKE 'issuer.%' AND json_type(OLD.detail, '$.rules') = 'text', false))
BEGIN
  SELECT RAISE(ABORT, 'access_audit is append-only');
END;

CREATE TRIGGER credential_uses_names AFTER INSERT ON credential_uses
WHEN NEW.user NOT GLOB 'usr_????????????????????????????????' OR json_type(NEW.credential, '$.account') IS NOT NULL
BEGIN
  INSERT INTO audit_users (tenant, user, kind, pseudonym)
  SELECT NEW.tenant, NEW.user, 'user', 'usr_' || lower(hex(randomblob(16))) WHERE NEW.user NOT GLOB 'usr_????????????????????????????????'
  ON CONFLICT (tenant, user, kind) DO NOTHING;
  UPDATE credential_uses SET
    credential = json_remove(credential, '$.account'),
    user = CASE WHEN NEW.user NOT GLOB 'usr_????????????????????????????????' THEN (
      SELECT u.pseudonym FROM audit_users u WHERE u.tenant = NEW.tenant AND u.user = NEW.user AND u.kind = 'user')
      ELSE user END
  WHERE id = NEW.id;
END;
