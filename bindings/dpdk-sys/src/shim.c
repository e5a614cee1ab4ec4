/* See shim.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

#include <rte_bus.h>
#include <rte_byteorder.h>
#include <rte_dev.h>
#include <rte_ether.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_memzone.h>

void dpdk_shim_flags(struct dpdk_shim_flags *flags)
{
	*flags = (struct dpdk_shim_flags){
		.rx_rss_hash = RTE_MBUF_F_RX_RSS_HASH,
		.rx_ip_mask = RTE_MBUF_F_RX_IP_CKSUM_MASK,
		.rx_ip_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		.rx_l4_mask = RTE_MBUF_F_RX_L4_CKSUM_MASK,
		.rx_l4_good = RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		.rx_l4_none = RTE_MBUF_F_RX_L4_CKSUM_NONE,
		.rx_lro = RTE_MBUF_F_RX_LRO,
		.indirect_or_external = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL,
		.cap_rx_ip_csum = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM,
		.cap_rx_tcp_csum = RTE_ETH_RX_OFFLOAD_TCP_CKSUM,
		.cap_rx_udp_csum = RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
		.cap_rx_rss_hash = RTE_ETH_RX_OFFLOAD_RSS_HASH,
		.cap_rx_scatter = RTE_ETH_RX_OFFLOAD_SCATTER,
		.cap_tx_ip_csum = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM,
		.cap_tx_tcp_csum = RTE_ETH_TX_OFFLOAD_TCP_CKSUM,
		.cap_tx_udp_csum = RTE_ETH_TX_OFFLOAD_UDP_CKSUM,
		.cap_tx_tcp_seg = RTE_ETH_TX_OFFLOAD_TCP_TSO,
		.cap_tx_free_threads = RTE_ETH_TX_OFFLOAD_MT_LOCKFREE,
		.tx_ipv4 = RTE_MBUF_F_TX_IPV4,
		.tx_ipv6 = RTE_MBUF_F_TX_IPV6,
		.tx_ip_csum = RTE_MBUF_F_TX_IP_CKSUM,
		.tx_tcp_csum = RTE_MBUF_F_TX_TCP_CKSUM,
		.tx_udp_csum = RTE_MBUF_F_TX_UDP_CKSUM,
		.tx_tcp_seg = RTE_MBUF_F_TX_TCP_SEG,
		.tx_udp_seg = RTE_MBUF_F_TX_UDP_SEG,
	};
}

int dpdk_shim_errno(void)
{
	return rte_errno;
}

unsigned int dpdk_shim_lcore_id(void)
{
	return rte_lcore_id();
}

uint16_t dpdk_shim_find(const char *devargs)
{
	struct rte_dev_iterator iterator;
	uint16_t port;

	RTE_ETH_FOREACH_MATCHING_DEV(port, devargs, &iterator) {
		/* Leaving early: what the iterator holds must be given back. */
		rte_eth_iterator_cleanup(&iterator);
		return port;
	}
	return RTE_MAX_ETHPORTS;
}

int dpdk_shim_configure(uint16_t port, const struct dpdk_shim_setup *setup)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof conf);
	conf.rxmode.mtu = setup->mtu;
	conf.rxmode.offloads = setup->rx_offloads;
	conf.txmode.offloads = setup->tx_offloads;
	conf.intr_conf.lsc = setup->link_interrupt != 0;
	if (setup->rx_queues > 1 && setup->rss_types) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = setup->rss_types;
	}
	return rte_eth_dev_configure(port, setup->rx_queues, setup->tx_queues, &conf);
}

int dpdk_shim_link(uint16_t port, struct dpdk_shim_link *link)
{
	struct rte_eth_link now;
	int error = rte_eth_link_get_nowait(port, &now);

	if (error)
		return error;
	link->mbps = now.link_speed;
	link->full_duplex = now.link_duplex;
	link->autonegotiated = now.link_autoneg;
	link->up = now.link_status;
	return 0;
}

static const struct rte_device *device_of(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) ? NULL : info.device;
}

const char *dpdk_shim_bus_name(uint16_t port)
{
	const struct rte_device *device = device_of(port);
	const struct rte_bus *bus = device ? rte_dev_bus(device) : NULL;

	return bus ? rte_bus_name(bus) : NULL;
}

const char *dpdk_shim_bus_info(uint16_t port)
{
	const struct rte_device *device = device_of(port);

	return device ? rte_dev_bus_info(device) : NULL;
}

int dpdk_shim_flow_control(uint16_t port, int rx, int tx, int negotiated)
{
	static const enum rte_eth_fc_mode modes[2][2] = {
		{ RTE_ETH_FC_NONE, RTE_ETH_FC_TX_PAUSE },
		{ RTE_ETH_FC_RX_PAUSE, RTE_ETH_FC_FULL },
	};
	struct rte_eth_fc_conf conf;
	int error;

	memset(&conf, 0, sizeof conf);
	error = rte_eth_dev_flow_ctrl_get(port, &conf);
	if (error)
		return error;
	conf.mode = modes[rx != 0][tx != 0];
	conf.autoneg = negotiated != 0;
	return rte_eth_dev_flow_ctrl_set(port, &conf);
}

int dpdk_shim_steer(uint16_t port, uint16_t ethertype, uint16_t udp, uint16_t queue)
{
	const struct rte_flow_attr attr = { .ingress = 1 };
	const struct rte_flow_action_queue to = { .index = queue };
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};
	struct rte_flow_item_eth ethernet, ethernet_mask;
	struct rte_flow_item_udp datagram, datagram_mask;
	struct rte_flow_item items[4];
	struct rte_flow_error error;
	int count = 0;

	memset(items, 0, sizeof items);
	memset(&ethernet, 0, sizeof ethernet);
	memset(&ethernet_mask, 0, sizeof ethernet_mask);
	memset(&datagram, 0, sizeof datagram);
	memset(&datagram_mask, 0, sizeof datagram_mask);
	items[count].type = RTE_FLOW_ITEM_TYPE_ETH;
	if (!udp) {
		ethernet.hdr.ether_type = rte_cpu_to_be_16(ethertype);
		ethernet_mask.hdr.ether_type = 0xffff;
		items[count].spec = &ethernet;
		items[count].mask = &ethernet_mask;
	}
	count++;
	if (udp) {
		items[count++].type = ethertype == RTE_ETHER_TYPE_IPV6 ? RTE_FLOW_ITEM_TYPE_IPV6
								       : RTE_FLOW_ITEM_TYPE_IPV4;
		datagram.hdr.dst_port = rte_cpu_to_be_16(udp);
		datagram_mask.hdr.dst_port = 0xffff;
		items[count].type = RTE_FLOW_ITEM_TYPE_UDP;
		items[count].spec = &datagram;
		items[count++].mask = &datagram_mask;
	}
	items[count].type = RTE_FLOW_ITEM_TYPE_END;
	/* The rule goes when the port is closed. */
	return rte_flow_create(port, &attr, items, actions, &error) ? 0 : -rte_errno;
}

int dpdk_shim_spread(uint16_t port, uint16_t queues)
{
	struct rte_eth_rss_reta_entry64 table[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info);
	uint16_t entry;

	if (error)
		return error;
	if (!info.reta_size || info.reta_size > RTE_ETH_RSS_RETA_SIZE_512)
		return -ENOTSUP;
	memset(table, 0, sizeof table);
	for (entry = 0; entry < info.reta_size; entry++) {
		struct rte_eth_rss_reta_entry64 *group = &table[entry / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= UINT64_C(1) << entry % RTE_ETH_RETA_GROUP_SIZE;
		group->reta[entry % RTE_ETH_RETA_GROUP_SIZE] = entry % queues;
	}
	return rte_eth_dev_rss_reta_update(port, table, info.reta_size);
}

struct rte_mbuf *dpdk_shim_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

void dpdk_shim_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

int dpdk_shim_linearize(struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_linearize(mbuf);
}

void dpdk_shim_copy_out(const struct rte_mbuf *mbuf, uint8_t *to)
{
	for (; mbuf; mbuf = mbuf->next) {
		memcpy(to, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len);
		to += mbuf->data_len;
	}
}

void dpdk_shim_set_tx_lengths(struct rte_mbuf *mbuf, uint16_t l2, uint16_t l3, uint16_t l4,
			      uint16_t segment)
{
	mbuf->tx_offload = 0;
	mbuf->l2_len = l2;
	mbuf->l3_len = l3;
	mbuf->l4_len = l4;
	mbuf->tso_segsz = segment;
}

uint16_t dpdk_shim_segment(const struct rte_mbuf *mbuf)
{
	return mbuf->tso_segsz;
}

static struct dpdk_shim_guests guests;

/* The socket of a guest, which is what we know it by; empty if libdpdk knows none. */
static const char *socket_of(int vid, char *path, size_t size)
{
	if (rte_vhost_get_ifname(vid, path, size))
		path[0] = 0;
	return path;
}

static int guest_here(int vid)
{
	char path[PATH_MAX];
	uint16_t ring;

	/* We ask all the time: the guest need not tell us. */
	for (ring = 0; ring < rte_vhost_get_vring_num(vid); ring++)
		rte_vhost_enable_guest_notification(vid, ring, 0);
	guests.here(socket_of(vid, path, sizeof path), vid);
	return 0;
}

static void guest_gone(int vid)
{
	char path[PATH_MAX];

	guests.gone(socket_of(vid, path, sizeof path));
}

static int guest_ring(int vid, uint16_t ring, int on)
{
	char path[PATH_MAX];

	guests.ring(socket_of(vid, path, sizeof path), ring, on);
	return 0;
}

static void guest_left(int vid)
{
	char path[PATH_MAX];

	guests.left(socket_of(vid, path, sizeof path));
}

int dpdk_shim_vhost_start(const char *path, const struct dpdk_shim_vhost *how,
			  const struct dpdk_shim_guests *told)
{
	static const struct rte_vhost_device_ops ops = {
		.new_device = guest_here,
		.destroy_device = guest_gone,
		.vring_state_changed = guest_ring,
		.destroy_connection = guest_left,
	};
	/* Frames come in one piece, large ones in memory of their own. What we send is cut. */
	uint64_t flags = RTE_VHOST_USER_LINEARBUF_SUPPORT | RTE_VHOST_USER_EXTBUF_SUPPORT |
			 RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
	uint64_t without = 1ULL << VIRTIO_NET_F_HOST_ECN | 1ULL << VIRTIO_NET_F_HOST_UFO |
			   1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6 |
			   1ULL << VIRTIO_NET_F_GUEST_ECN | 1ULL << VIRTIO_NET_F_GUEST_UFO;
	int error;

	guests = *told;
	if (how->client)
		flags |= RTE_VHOST_USER_CLIENT;
	if (how->iommu)
		flags |= RTE_VHOST_USER_IOMMU_SUPPORT;
	if (how->postcopy)
		flags |= RTE_VHOST_USER_POSTCOPY_SUPPORT;
	error = rte_vhost_driver_register(path, flags);
	if (error)
		return error;
	error = rte_vhost_driver_callback_register(path, &ops);
	if (!error)
		error = rte_vhost_driver_disable_features(path, without);
	if (!error)
		error = rte_vhost_driver_start(path);
	if (error)
		rte_vhost_driver_unregister(path);
	return error;
}

int dpdk_shim_vhost_stop(const char *path)
{
	return rte_vhost_driver_unregister(path);
}

uint64_t dpdk_shim_vhost_features(int vid)
{
	uint64_t features;

	return rte_vhost_get_negotiated_features(vid, &features) ? 0 : features;
}

int dpdk_shim_vhost_takes_partial(int vid)
{
	return dpdk_shim_vhost_features(vid) >> VIRTIO_NET_F_GUEST_CSUM & 1;
}

uint32_t dpdk_shim_vhost_ring_size(int vid, uint16_t ring)
{
	struct rte_vhost_vring vring;

	return rte_vhost_get_vhost_vring(vid, ring, &vring) ? 0 : vring.size;
}

char *dpdk_shim_report(int what)
{
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	if (!stream)
		return NULL;
	switch (what) {
	case DPDK_SHIM_HEAP:
		rte_malloc_dump_stats(stream, NULL);
		break;
	case DPDK_SHIM_ZONES:
		rte_memzone_dump(stream);
		break;
	case DPDK_SHIM_PROCESSORS:
		rte_lcore_dump(stream);
		break;
	case DPDK_SHIM_LOG:
		rte_log_dump(stream);
		break;
	}
	fclose(stream);
	return text;
}

void dpdk_shim_give_back(char *text)
{
	free(text);
}

static void (*log_sink)(const char *text, size_t len);

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	if (log_sink)
		log_sink(text, len);
	return len;
}

int dpdk_shim_log_to(void (*sink)(const char *text, size_t len))
{
	static const cookie_io_functions_t functions = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", functions);

	if (!stream)
		return -1;
	/* Whole lines at a time. */
	setvbuf(stream, NULL, _IOLBF, 4096);
	log_sink = sink;
	return rte_openlog_stream(stream);
}
