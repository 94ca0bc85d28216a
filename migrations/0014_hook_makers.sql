-- Who answers for what a hook starts: JSON of the actor, its policies, and what its issuer was trusted as. Whoever changes the
-- hook, or adds a secret to it, answers from then on. The first hooks have nobody, and start nothing before one does.
ALTER TABLE hooks ADD COLUMN maker TEXT NOT NULL DEFAULT '{"actor":"","policies":[]}' CHECK (json_valid(maker));
-- Why it is paused, where nobody has said so: 'maker_revoked'.
ALTER TABLE hooks ADD COLUMN paused_reason TEXT;
