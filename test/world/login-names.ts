/** The names by which the login server, its client and its scopes are known. */

export const LOGIN_HOST = "login.agenda.example";
/** The same whatever name or port a request came by. */
export const ISSUER = `https://${LOGIN_HOST}`;
export const CLIENT_ID = "showcaller";
export const CALENDAR_SCOPES = { read: "calendar.read", write: "calendar.write" } as const;
