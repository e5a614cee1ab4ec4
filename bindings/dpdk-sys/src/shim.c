/* See shim.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "shim.h"

#include <rte_log.h>

void dpdk_shim_flags(struct dpdk_shim_flags *flags)
{
	*flags = (struct dpdk_shim_flags){
		.rx_rss_hash = RTE_MBUF_F_RX_RSS_HASH,
		.rx_ip_mask = RTE_MBUF_F_RX_IP_CKSUM_MASK,
		.rx_ip_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		.rx_l4_mask = RTE_MBUF_F_RX_L4_CKSUM_MASK,
		.rx_l4_good = RTE_MBUF_F_RX_L4_CKSUM_GOOD,
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
