// Uses the generated types from sign-up to a refused booking, against a running server.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type BookingRefusal = components["schemas"]["BookingRefusal"];

const client = createClient<paths>({ baseUrl: process.env["API"] ?? "" });
const credentials = { username: "typescript", password: "correct-horse-battery" };

// The switch covers every code: without one of them, the function would not return a string on every path.
function explain(refusal: BookingRefusal): string {
  switch (refusal.code) {
    case "already_reserved":
      return `reservation ${refusal.reservation}`;
    case "sold_out":
    case "event_cancelled":
    case "event_started":
    case "parse_error":
    case "bad_request":
      // @ts-expect-error Only already_reserved has a reservation.
      return `${refusal.detail} ${refusal.reservation ?? ""}`;
  }
}

const signup = await client.POST("/api/authentication/signup/", { body: credentials });
assert.equal(signup.data?.email, "");

const login = await client.POST("/api/authentication/login/", { body: credentials });
assert(login.data);
const token = login.data.token;
client.use({
  onRequest: ({ request }) => request.headers.set("Authorization", `Token ${token}`),
});

const created = await client.POST("/api/event/events/", {
  body: { title: "Jazz", capacity: 2, start_time: "2040-05-01T19:00:00Z", end_time: "2040-05-01T21:00:00Z" },
});
assert(created.data);
const event_id: number = created.data.id;
const doors: string | null = created.data.show_time;
assert.equal(doors, null);

const found = await client.GET("/api/event/events/", { params: { query: { search: "jazz", available: "true" } } });
assert.deepEqual(found.data?.results.map((event) => event.id), [event_id]);
assert.equal(found.data?.next, null);

const booked = await client.POST("/api/reservation/reservations/", { body: { event_id } });
assert.equal(booked.data?.event.seats_remaining, 1);

const again = await client.POST("/api/reservation/reservations/", { body: { event_id } });
assert(again.error && again.response.status === 400);
assert.equal(explain(again.error as BookingRefusal), `reservation ${booked.data?.id}`);

const entered = await client.POST("/api/event/events/{event_id}/check-in/", {
  params: { path: { event_id } },
  body: { reservation: booked.data?.id ?? 0 },
});
assert(entered.data?.checked_in_at);
const undone = await client.DELETE("/api/event/events/{event_id}/check-in/{reservation_id}/", {
  params: { path: { event_id, reservation_id: entered.data.id } },
});
assert.equal(undone.response.status, 204);

const cancelled = await client.DELETE("/api/reservation/reservations/{id}/", {
  params: { path: { id: booked.data?.id ?? 0 } },
});
assert.equal(cancelled.response.status, 204);

const calledOff = await client.POST("/api/event/events/{id}/cancel/", {
  params: { path: { id: event_id } },
  body: { reason: "Rain" },
});
assert.equal(calledOff.data?.cancellation_reason, "Rain");
const late = await client.POST("/api/reservation/reservations/", { body: { event_id } });
assert.match(explain(late.error as BookingRefusal), /called off/);
console.log("The TypeScript client works.");
