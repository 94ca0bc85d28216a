-- Which stored plans an event starts: of each plan what its newest version says, written in the batch that stores it.
CREATE TABLE event_subscriptions (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  event TEXT NOT NULL
    CHECK (length(event) BETWEEN 1 AND 64 AND event GLOB '[a-z0-9]*' AND event NOT GLOB '*[^a-z0-9._-]*'),
  workflow TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 1),
  -- JSON: filter, input, and the policies of who stored it. Nothing of it is a secret.
  rules TEXT NOT NULL CHECK (json_valid(rules)),
  PRIMARY KEY (tenant, event, workflow)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_subscriptions_by_workflow ON event_subscriptions (tenant, workflow);
