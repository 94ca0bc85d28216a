-- Where the objects of a tenant live. Fixed when the tenant is made: in another jurisdiction its objects would be others.

ALTER TABLE tenants ADD COLUMN jurisdiction TEXT
  CHECK (jurisdiction IS NULL OR jurisdiction IN ('eu', 'fedramp', 'fedramp-high', 'us'));
-- Near where an object is made, if the platform can: not a promise.
ALTER TABLE tenants ADD COLUMN location_hint TEXT
  CHECK (location_hint IS NULL OR length(location_hint) BETWEEN 2 AND 16);

CREATE TRIGGER tenants_stay_in_their_place BEFORE UPDATE OF jurisdiction, location_hint ON tenants
BEGIN
  SELECT RAISE(ABORT, 'the place of a tenant is fixed');
END;
