/*
 * quota.h: fair share of a pool without division, as in dbus-broker. input_share.h and output_share.h say whom it holds for.
 */
#ifndef DISPATCH_QUOTA_H
#define DISPATCH_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/*
 * May somebody who holds `share` of a pool of which `remaining` is left take `charge` more, while
 * n_users (himself included) hold something?
 *
 *     (n_users + 1) * (share + charge) - share <= remaining
 *
 * An overflow anywhere means no.
 */
bool quota_allows(uint64_t remaining, uint64_t n_users, uint64_t share, uint64_t charge);

#endif
