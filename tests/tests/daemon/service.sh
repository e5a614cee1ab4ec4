# service.sh PROGRAM FOLDER OWNER WORDS: the installed service scripts around PROGRAM. Runs in mount
# and network namespaces of its own. Prints parts, each below a line "== NAME".
set -u
program=$1 folder=$2 owner=$3 words=$4
ctl=/usr/share/openvswitch/scripts/ovs-ctl
ip link set lo up
for part in run etc log; do mkdir "$folder/$part"; done
chown "$owner" "$folder" "$folder"/{run,etc,log}
chmod 755 "$folder"
mkdir -p /run/openvswitch /var/log/openvswitch
mount --bind "$folder/run" /run/openvswitch
mount --bind "$folder/etc" /etc/openvswitch
mount --bind "$folder/log" /var/log/openvswitch
mount --bind "$program" "$(readlink -f /usr/sbin/ovs-vswitchd)"

scripts() {
    # shellcheck disable=SC2086 — words are several.
    "$ctl" --no-record-hostname --system-id=random $words "$1" 2>&1
    echo "status $?"
}
pid() { cat /run/openvswitch/ovs-vswitchd.pid; }
flows() {
    ovs-ofctl --no-stats dump-flows br0 | grep -v xid
    ovs-ofctl -O OpenFlow13 dump-groups br0 | grep -v xid
}

echo "== start"; scripts start
ovs-vsctl add-br br0 -- set Bridge br0 datapath_type=netdev fail_mode=secure
ovs-ofctl add-flow br0 priority=7,in_port=1,actions=2
ovs-ofctl -O OpenFlow13 add-group br0 group_id=1,type=select,bucket=2
first=$(pid)
echo "== status"; scripts status
echo "== user"; grep -E "Uid|CapEff" "/proc/$first/status"
echo "== flows before"; flows
echo "== restart"; scripts restart
echo "== pids"; echo "$first"; pid
echo "== flows after"; flows
echo "== waits"; ovs-vsctl --if-exists get Open_vSwitch . other_config:flow-restore-wait
echo "== stop"; scripts stop
echo "== left"; ls /run/openvswitch | grep -E "ctl|pid|mgmt"
exit 0
