// Limits: every bound of the HTTP server, with its reason.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/tick.h"

namespace tonnage::net {

struct Limits {
  // Request line and header fields together; 431 beyond. Browsers send at most about 16 KiB, agents
  // with long tokens and cookies a little more.
  Bytes header_bytes_max = 64_KiB;

  // Header fields in one message; 431 beyond. Bounds the work per head, not only its bytes.
  std::uint32_t header_fields_max = 200;

  // One request body; 413 beyond, from Content-Length at once, for chunked bodies when it is
  // crossed. 64 MiB holds a few images in base64 or a long recording.
  Bytes body_bytes_max = 64_MiB;

  // All request bodies held in memory together (they are kept for replay). A body that would cross
  // it moves to an unlinked file in spill_folder, which has to be on a disk: on tmpfs it would be
  // memory again. Without a folder, and beyond bodies_file_max in files, the request is answered
  // 503. 4 GiB are 64 bodies of the largest size.
  Bytes bodies_memory_max = 256_MiB;
  Bytes bodies_file_max = 4_GiB;
  std::string spill_folder;

  // Open client connections; one more is answered 503 and closed. Each costs about 3 KiB here and
  // as much again in the kernel.
  std::uint32_t connections_max = 8192;

  // From the first byte of a request to the end of its head; 408 beyond. Half a request and silence
  // must not hold a connection.
  Duration header_timeout = 10s;

  // Silence within a request body; 408 beyond.
  Duration body_idle_timeout = 30s;

  // An idle connection is closed after this. Longer than the 60 s pools of common clients, so that
  // the client closes first and never sends into a closing connection.
  Duration keepalive_timeout = 75s;

  // A client that takes no byte of its answer for this long is cut off: it holds a lease.
  Duration write_stall_timeout = 60s;

  // After an early refusal, how long the rest of the request is read and dropped, so that the
  // client sees the answer and not a reset.
  Duration linger_timeout = 2s;

  // Bytes that begin_stream() and send() may hold for a client that does not read; the client is
  // dropped beyond. Events are at most a few KiB each.
  Bytes stream_pending_max = 256_KiB;

  // A stream that this server began is never silent for longer: a comment, or an empty line of
  // text, keeps proxies from closing it (nginx does after 60 s) and finds clients that have gone.
  Duration heartbeat_every = 15s;

  // Read-ahead of pipelined requests while one is answered. Reading stops there, and with it the
  // early notice of a client that leaves.
  Bytes pipeline_bytes_max = 64_KiB;

  // Bytes of an answer in flight between one model server and one client. Back-pressure: the
  // server is not read while the client has not taken them.
  Bytes relay_buffer = 32_KiB;

  // A longer answer is not held back (RelayTarget::hold_from_status), or cut here, and one that
  // becomes an event (stream_already_begun) is cut here. Error documents of model servers are under
  // 1 KiB.
  Bytes held_answer_max = 64_KiB;

  // Idle connections kept per model server; more are closed. Servers have at most a few dozen
  // slots.
  std::uint32_t upstream_idle_max = 64;

  // All timeouts above are kept by one coarse timer with this step; they end up to two steps late.
  Duration timer_step = 100ms;

  // File descriptors that a full server uses: each connection may have one to its model server and
  // one spilled body; the rest is for listeners, children, pipes and files of the daemon.
  std::uint64_t file_descriptors_needed() const {
    return std::uint64_t{connections_max} * 2 + 1024;
  }

  // A client whose connection gets this number or a larger one is turned away, and none is accepted
  // for a moment: the numbers above are for what is there already. The kernel gives the lowest that
  // is free, so it says how many are in use. Zero: no such bound.
  std::uint64_t descriptor_reserve_from = 0;
};

}  // namespace tonnage::net
