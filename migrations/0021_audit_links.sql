-- The chain of each tenant's audit, and of the deployment's own: which entries and uses there were, link by link. Each link holds
-- hashes of what it covers and of the link before, and a MAC under a key that is not in this database.

CREATE TABLE audit_links (
  -- '': the deployment's own chain, of entries that concern no tenant.
  tenant TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 1),
  -- Covers the entries with `behind < seq <= through`.
  behind INTEGER NOT NULL,
  through INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  entries_sha256 TEXT NOT NULL,
  -- The latest time among them; NULL: there are none.
  entries_until INTEGER,
  uses INTEGER NOT NULL,
  uses_sha256 TEXT NOT NULL,
  uses_until INTEGER,
  -- The entries of links up to this one are no longer kept, and their highest `seq`; the same of uses.
  dropped INTEGER NOT NULL,
  dropped_through INTEGER NOT NULL,
  uses_dropped INTEGER NOT NULL,
  at INTEGER NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL,
  mac TEXT NOT NULL,
  PRIMARY KEY (tenant, number),
  CHECK (dropped < number AND uses_dropped < number AND dropped_through <= behind AND behind <= through)
) STRICT, WITHOUT ROWID;

-- The next one whose uses, or entries, have had their time.
CREATE INDEX audit_links_with_uses ON audit_links (tenant, number) WHERE uses > 0;
CREATE INDEX audit_links_with_entries ON audit_links (tenant, number) WHERE entries > 0;

CREATE TRIGGER audit_links_next BEFORE INSERT ON audit_links
WHEN NEW.number <> 1 + coalesce((SELECT max(number) FROM audit_links WHERE tenant = NEW.tenant), 0)
  OR NEW.previous <> coalesce(
    (SELECT hash FROM audit_links WHERE tenant = NEW.tenant ORDER BY number DESC LIMIT 1), '')
  OR EXISTS (
    SELECT 1 FROM audit_links WHERE tenant = NEW.tenant AND number = NEW.number - 1 AND (
      through <> NEW.behind OR dropped > NEW.dropped OR dropped_through > NEW.dropped_through
      OR uses_dropped > NEW.uses_dropped))
BEGIN
  SELECT RAISE(ABORT, 'audit_links: not the next link');
END;

CREATE TRIGGER audit_links_no_update BEFORE UPDATE ON audit_links
BEGIN
  SELECT RAISE(ABORT, 'audit_links is append-only');
END;

CREATE TRIGGER audit_links_no_delete BEFORE DELETE ON audit_links
BEGIN
  SELECT RAISE(ABORT, 'audit_links is append-only');
END;

-- An entry goes only when the last link says that those up to it are no longer kept.
DROP TRIGGER access_audit_no_delete;
CREATE TRIGGER access_audit_no_delete BEFORE DELETE ON access_audit
WHEN OLD.seq > coalesce((
  SELECT dropped_through FROM audit_links WHERE tenant = coalesce(OLD.tenant, '') ORDER BY number DESC LIMIT 1), 0)
BEGIN
  SELECT RAISE(ABORT, 'access_audit is append-only');
END;

-- The number of the link that covers it; 0: none yet.
ALTER TABLE credential_uses ADD COLUMN link INTEGER NOT NULL DEFAULT 0;
CREATE INDEX credential_uses_by_link ON credential_uses (tenant, link);

-- A use whose attempt has ended, and any that a link covers, stays as it is, whatever is told later.
CREATE TRIGGER credential_uses_final BEFORE UPDATE ON credential_uses
WHEN OLD.link <> 0 OR (OLD.outcome IS NOT NULL AND NEW.link = 0
  AND coalesce(OLD.user GLOB 'usr_????????????????????????????????', true) AND json_type(OLD.credential, '$.account') IS NULL)
BEGIN
  SELECT RAISE(IGNORE);
END;

CREATE TRIGGER credential_uses_no_delete BEFORE DELETE ON credential_uses
WHEN OLD.link = 0 OR OLD.link > coalesce((
  SELECT uses_dropped FROM audit_links WHERE tenant = OLD.tenant ORDER BY number DESC LIMIT 1), 0)
BEGIN
  SELECT RAISE(ABORT, 'credential_uses are kept until their link says otherwise');
END;
