/* SPDX-License-Identifier: ISC */
/* A row is a type byte and its fields; there is nothing to skip, both ends come from one build. */
#include "lib/status.h"

#include <errno.h>

/* status_put_process - one process */
void status_put_process(struct wire_out *out, const struct status_process *process)
{
	wire_put_u8(out, STATUS_PROCESS);
	wire_put_u8(out, process->role);
	wire_put_u16(out, process->instance);
	wire_put_u32(out, process->pid);
	wire_put_u64(out, process->uptime_ms);
	wire_put_u32(out, process->restarts);
	wire_put_u32(out, process->crashes);
	wire_put_bytes(out, process->state.data, process->state.len);
}

/* status_put_counter - one number */
void status_put_counter(struct wire_out *out, const char *name, uint64_t value)
{
	wire_put_u8(out, STATUS_COUNTER);
	wire_put_str(out, name);
	wire_put_u64(out, value);
}

/* get_bytes - a counted string in place */
static struct msg_bytes get_bytes(struct wire_in *in)
{
	size_t len;
	const char *data = wire_get_bytes(in, &len);
	return (struct msg_bytes){data, (uint32_t)len};
}

/* status_next - the next row */
int status_next(struct msg_bytes rows, size_t *pos, struct status_process *process,
    struct status_counter *counter)
{
	struct wire_in in;
	if (*pos == rows.len)
		return STATUS_END;
	if (*pos > rows.len)
		return -EBADMSG;
	wire_in_init(&in, rows.data + *pos, rows.len - *pos);
	int type = wire_get_u8(&in);
	if (type == STATUS_PROCESS) {
		process->role = wire_get_u8(&in);
		process->instance = wire_get_u16(&in);
		process->pid = wire_get_u32(&in);
		process->uptime_ms = wire_get_u64(&in);
		process->restarts = wire_get_u32(&in);
		process->crashes = wire_get_u32(&in);
		process->state = get_bytes(&in);
	} else if (type == STATUS_COUNTER) {
		counter->name = get_bytes(&in);
		counter->value = wire_get_u64(&in);
	} else {
		return -EBADMSG;
	}
	if (in.err)
		return in.err;
	*pos = rows.len - wire_left(&in);
	return type;
}
