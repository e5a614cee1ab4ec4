/* What dpdk-sys binds: headers of libdpdk, and a shim of what bindgen cannot bind.
 *
 * Inline functions have no symbol, the error number is a thread-local, and some structures differ
 * between versions of libdpdk; all of that stays on the C side. */
#ifndef DPDK_SHIM_H
#define DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>
#include <rte_vhost.h>

/* Where the fields of a packet buffer are, and what its flags mean. */
enum dpdk_shim_constants {
	DPDK_SHIM_MBUF_SIZE = sizeof(struct rte_mbuf),
	DPDK_SHIM_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	DPDK_SHIM_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	DPDK_SHIM_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	DPDK_SHIM_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	DPDK_SHIM_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	DPDK_SHIM_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	DPDK_SHIM_MBUF_RSS = offsetof(struct rte_mbuf, hash.rss),
	DPDK_SHIM_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	DPDK_SHIM_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	DPDK_SHIM_HEADROOM = RTE_PKTMBUF_HEADROOM,
	DPDK_SHIM_MAX_PORTS = RTE_MAX_ETHPORTS,
};

struct dpdk_shim_flags {
	uint64_t rx_rss_hash;
	uint64_t rx_ip_mask, rx_ip_good;
	uint64_t rx_l4_mask, rx_l4_good, rx_l4_none, rx_lro;
	uint64_t indirect_or_external;
	/* Capabilities of devices. */
	uint64_t cap_rx_ip_csum, cap_rx_tcp_csum, cap_rx_udp_csum, cap_rx_rss_hash, cap_rx_scatter;
	uint64_t cap_tx_ip_csum, cap_tx_tcp_csum, cap_tx_udp_csum, cap_tx_tcp_seg, cap_tx_free_threads;
	uint64_t tx_ipv4, tx_ipv6, tx_ip_csum, tx_tcp_csum, tx_udp_csum, tx_tcp_seg, tx_udp_seg;
};

struct dpdk_shim_link {
	uint32_t mbps;
	uint8_t full_duplex, autonegotiated, up;
};

struct dpdk_shim_setup {
	uint16_t rx_queues, tx_queues;
	uint32_t mtu;
	uint64_t rx_offloads, tx_offloads, rss_types;
	int link_interrupt;
};

void dpdk_shim_flags(struct dpdk_shim_flags *flags);
int dpdk_shim_errno(void);
unsigned int dpdk_shim_lcore_id(void);

/* The number of the port whose device matches; RTE_MAX_ETHPORTS if there is none. */
uint16_t dpdk_shim_find(const char *devargs);
int dpdk_shim_configure(uint16_t port, const struct dpdk_shim_setup *setup);
int dpdk_shim_link(uint16_t port, struct dpdk_shim_link *link);
/* The name of the bus of a port's device, and what the bus says of it; NULL where there is none. */
const char *dpdk_shim_bus_name(uint16_t port);
const char *dpdk_shim_bus_info(uint16_t port);

/* Pauses at the link, as far as the device has such. */
int dpdk_shim_flow_control(uint16_t port, int rx, int tx, int negotiated);
/* Frames of an Ethertype, or datagrams to a UDP port if that is not 0, go to this queue. */
int dpdk_shim_steer(uint16_t port, uint16_t ethertype, uint16_t udp, uint16_t queue);
/* What has no rule goes to the first queues. */
int dpdk_shim_spread(uint16_t port, uint16_t queues);

struct rte_mbuf *dpdk_shim_alloc(struct rte_mempool *pool);
void dpdk_shim_free(struct rte_mbuf *mbuf);
/* Makes one segment of a chain; 0, or negative if the first has no room for it all. */
int dpdk_shim_linearize(struct rte_mbuf *mbuf);
/* Copies the bytes of a chain to a place that has room for pkt_len bytes. */
void dpdk_shim_copy_out(const struct rte_mbuf *mbuf, uint8_t *to);
void dpdk_shim_set_tx_lengths(struct rte_mbuf *mbuf, uint16_t l2, uint16_t l3, uint16_t l4,
			      uint16_t segment);
/* Payload bytes of a segment of a received large frame. */
uint16_t dpdk_shim_segment(const struct rte_mbuf *mbuf);

/* Guests at vhost-user sockets: who is told that one is there, that it goes, and that it switches a
 * ring on or off. Called in threads of libdpdk's; the guest's rings may not be used any more when
 * `gone` returns. */
struct dpdk_shim_guests {
	void (*here)(const char *path, int vid);
	void (*gone)(const char *path);
	void (*ring)(const char *path, uint16_t ring, int on);
	void (*left)(const char *path);
};

struct dpdk_shim_vhost {
	int client, iommu, postcopy;
};

/* Watches a socket; 0, or what libdpdk answered. */
int dpdk_shim_vhost_start(const char *path, const struct dpdk_shim_vhost *how,
			  const struct dpdk_shim_guests *told);
int dpdk_shim_vhost_stop(const char *path);
/* Whether the guest lets us leave checksums to it. */
int dpdk_shim_vhost_takes_partial(int vid);
uint64_t dpdk_shim_vhost_features(int vid);
uint32_t dpdk_shim_vhost_ring_size(int vid, uint16_t ring);

/* What libdpdk prints of itself: a text to be given back, or a null pointer. */
enum dpdk_shim_reports {
	DPDK_SHIM_HEAP,
	DPDK_SHIM_ZONES,
	DPDK_SHIM_PROCESSORS,
	DPDK_SHIM_LOG,
};
char *dpdk_shim_report(int what);
void dpdk_shim_give_back(char *text);

/* Lets libdpdk's log lines go to a function. */
int dpdk_shim_log_to(void (*sink)(const char *text, size_t len));
#endif
