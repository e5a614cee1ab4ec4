//! Every error code of OpenFlow 1.0 to 1.5 and of the extensions, with its numbers in each version.
//!
//! A row says: from which minor version to which, whose number it is, type, code. A code without a
//! row for a version cannot be said there.

macro_rules! codes {
    ($($variant:ident $name:literal [$(($from:literal, $to:literal, $vendor:expr, $ty:literal, $code:literal)),+];)*) => {
        /// Why a message is refused, named as the OpenFlow specifications name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code {
            $(#[doc = $name] $variant,)*
        }

        /// A row for each [`Code`], in its order.
        pub(super) static ROWS: &[(Code, &str, &[Numbers])] = &[$((
            Code::$variant,
            $name,
            &[$(Numbers { from: $from, to: $to, vendor: $vendor, ty: $ty, code: $code }),+],
        ),)*];
    };
}

/// The numbers of a code in some versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// First minor version.
    pub(super) from: u8,
    /// Last minor version.
    pub(super) to: u8,
    /// Experimenter; 0: the specification's own.
    pub(super) vendor: u32,
    /// Error type.
    pub(super) ty: u16,
    /// Error code.
    pub(super) code: u16,
}

const STD: u32 = 0;
const NX: u32 = 0x2320;
const ONF: u32 = 0x4f4e_4600;

#[rustfmt::skip]
codes! {
    NxbacBadConjunction "NXBAC_BAD_CONJUNCTION" [(0, 1, NX, 2, 526), (2, 5, NX, 15, 0)];
    NxbacBadEdProp "NXBAC_BAD_ED_PROP" [(3, 5, NX, 41, 0)];
    NxbacBadHeaderType "NXBAC_BAD_HEADER_TYPE" [(3, 5, NX, 39, 0)];
    NxbacCtDatapathSupport "NXBAC_CT_DATAPATH_SUPPORT" [(0, 1, NX, 1, 265), (2, 5, NX, 42, 0)];
    NxbacMustBeZero "NXBAC_MUST_BE_ZERO" [(0, 1, NX, 2, 256), (2, 5, NX, 11, 0)];
    NxbacUnknownEdProp "NXBAC_UNKNOWN_ED_PROP" [(3, 5, NX, 40, 0)];
    NxbmcCtDatapathSupport "NXBMC_CT_DATAPATH_SUPPORT" [(0, 1, NX, 1, 264), (2, 5, NX, 43, 0)];
    NxbrcBadReason "NXBRC_BAD_REASON" [(0, 1, NX, 1, 516), (2, 5, NX, 5, 0)];
    NxbrcFmBadEvent "NXBRC_FM_BAD_EVENT" [(0, 1, NX, 1, 520), (2, 5, NX, 9, 0)];
    NxbrcMustBeZero "NXBRC_MUST_BE_ZERO" [(0, 1, NX, 1, 515), (2, 5, NX, 4, 0)];
    NxbrcNxmBadType "NXBRC_NXM_BAD_TYPE" [(0, 1, NX, 1, 257), (2, 5, NX, 3, 0)];
    NxbrcNxmInvalid "NXBRC_NXM_INVALID" [(0, 1, NX, 1, 256), (2, 5, NX, 2, 0)];
    NxbrcUnencodableError "NXBRC_UNENCODABLE_ERROR" [(0, 1, NX, 1, 521), (2, 5, NX, 10, 0)];
    NxfmfcBadTableId "NXFMFC_BAD_TABLE_ID" [(0, 1, NX, 5, 257), (2, 5, NX, 13, 0)];
    NxfmfcHardware "NXFMFC_HARDWARE" [(0, 1, NX, 5, 256), (2, 5, NX, 12, 0)];
    NxfmfcInvalidTlvField "NXFMFC_INVALID_TLV_FIELD" [(0, 1, NX, 1, 536), (2, 5, NX, 37, 0)];
    NxqofcQueueError "NXQOFC_QUEUE_ERROR" [(4, 5, NX, 23, 0)];
    NxrNotSupported "NXR_NOT_SUPPORTED" [(0, 1, NX, 1, 533), (2, 5, NX, 34, 0)];
    NxrStale "NXR_STALE" [(0, 1, NX, 1, 534), (2, 5, NX, 35, 0)];
    NxstNotConfigured "NXST_NOT_CONFIGURED" [(0, 1, NX, 1, 535), (2, 5, NX, 36, 0)];
    NxtffcDupTable "NXTFFC_DUP_TABLE" [(3, 5, NX, 44, 0)];
    NxttmfcAlreadyMapped "NXTTMFC_ALREADY_MAPPED" [(0, 1, NX, 1, 531), (2, 5, NX, 20, 0)];
    NxttmfcBadCommand "NXTTMFC_BAD_COMMAND" [(0, 1, NX, 1, 527), (2, 5, NX, 16, 0)];
    NxttmfcBadFieldIdx "NXTTMFC_BAD_FIELD_IDX" [(0, 1, NX, 1, 529), (2, 5, NX, 18, 0)];
    NxttmfcBadOptLen "NXTTMFC_BAD_OPT_LEN" [(0, 1, NX, 1, 528), (2, 5, NX, 17, 0)];
    NxttmfcDupEntry "NXTTMFC_DUP_ENTRY" [(0, 1, NX, 1, 532), (2, 5, NX, 21, 0)];
    NxttmfcInvalidTlvDel "NXTTMFC_INVALID_TLV_DEL" [(0, 1, NX, 1, 537), (2, 5, NX, 38, 0)];
    NxttmfcTableFull "NXTTMFC_TABLE_FULL" [(0, 1, NX, 1, 530), (2, 5, NX, 19, 0)];
    AcfcEperm "OFPACFC_EPERM" [(3, 3, ONF, 2372, 0), (4, 5, STD, 15, 2)];
    AcfcInvalid "OFPACFC_INVALID" [(3, 3, ONF, 2370, 0), (4, 5, STD, 15, 0)];
    AcfcUnsupported "OFPACFC_UNSUPPORTED" [(3, 3, ONF, 2371, 0), (4, 5, STD, 15, 1)];
    BacBadArgument "OFPBAC_BAD_ARGUMENT" [(0, 5, STD, 2, 5)];
    BacBadLen "OFPBAC_BAD_LEN" [(0, 5, STD, 2, 1)];
    BacBadMeter "OFPBAC_BAD_METER" [(5, 5, STD, 2, 17)];
    BacBadOutGroup "OFPBAC_BAD_OUT_GROUP" [(0, 0, NX, 2, 9), (1, 5, STD, 2, 9)];
    BacBadOutPort "OFPBAC_BAD_OUT_PORT" [(0, 5, STD, 2, 4)];
    BacBadQueue "OFPBAC_BAD_QUEUE" [(0, 5, STD, 2, 8)];
    BacBadSetArgument "OFPBAC_BAD_SET_ARGUMENT" [(0, 1, NX, 1, 525), (2, 5, STD, 2, 15)];
    BacBadSetLen "OFPBAC_BAD_SET_LEN" [(0, 1, NX, 1, 524), (2, 5, STD, 2, 14)];
    BacBadSetMask "OFPBAC_BAD_SET_MASK" [(3, 4, ONF, 4250, 0), (5, 5, STD, 2, 16)];
    BacBadSetType "OFPBAC_BAD_SET_TYPE" [(0, 1, NX, 1, 523), (2, 5, STD, 2, 13)];
    BacBadTag "OFPBAC_BAD_TAG" [(1, 5, STD, 2, 12)];
    BacBadType "OFPBAC_BAD_TYPE" [(0, 5, STD, 2, 0)];
    BacBadVendor "OFPBAC_BAD_VENDOR" [(0, 5, STD, 2, 2)];
    BacBadVendorType "OFPBAC_BAD_VENDOR_TYPE" [(0, 5, STD, 2, 3)];
    BacEperm "OFPBAC_EPERM" [(0, 5, STD, 2, 6)];
    BacMatchInconsistent "OFPBAC_MATCH_INCONSISTENT" [(0, 0, NX, 1, 522), (1, 5, STD, 2, 10)];
    BacTooMany "OFPBAC_TOO_MANY" [(0, 5, STD, 2, 7)];
    BacUnsupportedOrder "OFPBAC_UNSUPPORTED_ORDER" [(1, 5, STD, 2, 11)];
    BfcBadFlags "OFPBFC_BAD_FLAGS" [(3, 3, ONF, 2307, 0), (4, 5, STD, 17, 7)];
    BfcBadId "OFPBFC_BAD_ID" [(3, 3, ONF, 2302, 0), (4, 5, STD, 17, 2)];
    BfcBadType "OFPBFC_BAD_TYPE" [(3, 3, ONF, 2306, 0), (4, 5, STD, 17, 6)];
    BfcBadVersion "OFPBFC_BAD_VERSION" [(4, 5, NX, 22, 0)];
    BfcBundleClosed "OFPBFC_BUNDLE_CLOSED" [(3, 3, ONF, 2304, 0), (4, 5, STD, 17, 4)];
    BfcBundleExist "OFPBFC_BUNDLE_EXIST" [(3, 3, ONF, 2303, 0), (4, 5, STD, 17, 3)];
    BfcBundleInProgress "OFPBFC_BUNDLE_IN_PROGRESS" [(3, 3, ONF, 2315, 0), (4, 5, STD, 17, 15)];
    BfcEperm "OFPBFC_EPERM" [(3, 3, ONF, 2301, 0), (4, 5, STD, 17, 1)];
    BfcMsgBadLen "OFPBFC_MSG_BAD_LEN" [(3, 3, ONF, 2308, 0), (4, 5, STD, 17, 8)];
    BfcMsgBadXid "OFPBFC_MSG_BAD_XID" [(3, 3, ONF, 2309, 0), (4, 5, STD, 17, 9)];
    BfcMsgConflict "OFPBFC_MSG_CONFLICT" [(3, 3, ONF, 2311, 0), (4, 5, STD, 17, 11)];
    BfcMsgFailed "OFPBFC_MSG_FAILED" [(3, 3, ONF, 2313, 0), (4, 5, STD, 17, 13)];
    BfcMsgTooMany "OFPBFC_MSG_TOO_MANY" [(3, 3, ONF, 2312, 0), (4, 5, STD, 17, 12)];
    BfcMsgUnsup "OFPBFC_MSG_UNSUP" [(3, 3, ONF, 2310, 0), (4, 5, STD, 17, 10)];
    BfcOutOfBundles "OFPBFC_OUT_OF_BUNDLES" [(3, 3, ONF, 2305, 0), (4, 5, STD, 17, 5)];
    BfcSchedFuture "OFPBFC_SCHED_FUTURE" [(5, 5, STD, 17, 17)];
    BfcSchedNotSupported "OFPBFC_SCHED_NOT_SUPPORTED" [(5, 5, STD, 17, 16)];
    BfcSchedPast "OFPBFC_SCHED_PAST" [(5, 5, STD, 17, 18)];
    BfcTimeout "OFPBFC_TIMEOUT" [(3, 3, ONF, 2314, 0), (4, 5, STD, 17, 14)];
    BfcUnknown "OFPBFC_UNKNOWN" [(3, 3, ONF, 2300, 0), (4, 5, STD, 17, 0)];
    BicBadExperimenter "OFPBIC_BAD_EXPERIMENTER" [(1, 5, STD, 3, 5)];
    BicBadExpType "OFPBIC_BAD_EXP_TYPE" [(1, 1, STD, 3, 5), (2, 5, STD, 3, 6)];
    BicBadLen "OFPBIC_BAD_LEN" [(2, 5, STD, 3, 7)];
    BicBadTableId "OFPBIC_BAD_TABLE_ID" [(1, 5, STD, 3, 2)];
    BicDupInst "OFPBIC_DUP_INST" [(1, 1, NX, 3, 256), (2, 3, ONF, 2600, 0), (4, 5, STD, 3, 9)];
    BicEperm "OFPBIC_EPERM" [(2, 5, STD, 3, 8)];
    BicUnknownInst "OFPBIC_UNKNOWN_INST" [(1, 5, STD, 3, 0)];
    BicUnsupInst "OFPBIC_UNSUP_INST" [(0, 0, NX, 2, 257), (1, 5, STD, 3, 1)];
    BicUnsupMetadata "OFPBIC_UNSUP_METADATA" [(1, 5, STD, 3, 3)];
    BicUnsupMetadataMask "OFPBIC_UNSUP_METADATA_MASK" [(1, 5, STD, 3, 4)];
    BmcBadDlAddrMask "OFPBMC_BAD_DL_ADDR_MASK" [(1, 5, STD, 4, 3)];
    BmcBadField "OFPBMC_BAD_FIELD" [(0, 0, NX, 0, 263), (1, 5, STD, 4, 6)];
    BmcBadLen "OFPBMC_BAD_LEN" [(1, 5, STD, 4, 1)];
    BmcBadMask "OFPBMC_BAD_MASK" [(0, 1, NX, 1, 259), (2, 5, STD, 4, 8)];
    BmcBadNwAddrMask "OFPBMC_BAD_NW_ADDR_MASK" [(1, 5, STD, 4, 4)];
    BmcBadPrereq "OFPBMC_BAD_PREREQ" [(0, 1, NX, 1, 260), (2, 5, STD, 4, 9)];
    BmcBadTag "OFPBMC_BAD_TAG" [(1, 5, STD, 4, 2)];
    BmcBadType "OFPBMC_BAD_TYPE" [(1, 5, STD, 4, 0)];
    BmcBadValue "OFPBMC_BAD_VALUE" [(0, 0, NX, 1, 258), (1, 5, STD, 4, 7)];
    BmcBadWildcards "OFPBMC_BAD_WILDCARDS" [(0, 0, NX, 1, 262), (1, 5, STD, 4, 5)];
    BmcDupField "OFPBMC_DUP_FIELD" [(0, 1, NX, 1, 261), (2, 5, STD, 4, 10)];
    BmcEperm "OFPBMC_EPERM" [(2, 5, STD, 4, 11)];
    BpcBadExperimenter "OFPBPC_BAD_EXPERIMENTER" [(0, 1, NX, 14, 5), (2, 2, NX, 30, 0), (3, 3, ONF, 4445, 0), (4, 5, STD, 14, 5)];
    BpcBadExpType "OFPBPC_BAD_EXP_TYPE" [(0, 1, NX, 14, 6), (2, 2, NX, 31, 0), (3, 3, ONF, 4446, 0), (4, 5, STD, 14, 6)];
    BpcBadExpValue "OFPBPC_BAD_EXP_VALUE" [(0, 1, NX, 14, 7), (2, 2, NX, 32, 0), (3, 3, ONF, 4447, 0), (4, 5, STD, 14, 7)];
    BpcBadLen "OFPBPC_BAD_LEN" [(0, 1, NX, 13, 3), (2, 2, NX, 26, 0), (3, 3, STD, 13, 3), (4, 5, STD, 14, 1)];
    BpcBadType "OFPBPC_BAD_TYPE" [(0, 1, NX, 13, 2), (2, 2, NX, 25, 0), (3, 3, STD, 13, 2), (4, 5, STD, 14, 0)];
    BpcBadValue "OFPBPC_BAD_VALUE" [(0, 1, NX, 13, 4), (2, 2, NX, 27, 0), (3, 3, STD, 13, 4), (4, 5, STD, 14, 2)];
    BpcDupType "OFPBPC_DUP_TYPE" [(0, 1, NX, 14, 4), (2, 2, NX, 29, 0), (3, 3, ONF, 4444, 0), (4, 5, STD, 14, 4)];
    BpcEperm "OFPBPC_EPERM" [(0, 1, NX, 14, 8), (2, 2, NX, 33, 0), (3, 3, ONF, 4448, 0), (4, 5, STD, 14, 8)];
    BpcTooMany "OFPBPC_TOO_MANY" [(0, 1, NX, 14, 3), (2, 2, NX, 28, 0), (3, 3, ONF, 4443, 0), (4, 5, STD, 14, 3)];
    BrcBadLen "OFPBRC_BAD_LEN" [(0, 5, STD, 1, 6)];
    BrcBadPacket "OFPBRC_BAD_PACKET" [(2, 5, STD, 1, 12)];
    BrcBadPort "OFPBRC_BAD_PORT" [(0, 1, NX, 1, 514), (2, 5, STD, 1, 11)];
    BrcBadStat "OFPBRC_BAD_STAT" [(0, 5, STD, 1, 2)];
    BrcBadSubtype "OFPBRC_BAD_SUBTYPE" [(0, 5, STD, 1, 4)];
    BrcBadTableId "OFPBRC_BAD_TABLE_ID" [(0, 0, NX, 1, 512), (1, 5, STD, 1, 9)];
    BrcBadType "OFPBRC_BAD_TYPE" [(0, 5, STD, 1, 1)];
    BrcBadVendor "OFPBRC_BAD_VENDOR" [(0, 5, STD, 1, 3)];
    BrcBadVersion "OFPBRC_BAD_VERSION" [(0, 5, STD, 1, 0)];
    BrcBufferEmpty "OFPBRC_BUFFER_EMPTY" [(0, 5, STD, 1, 7)];
    BrcBufferUnknown "OFPBRC_BUFFER_UNKNOWN" [(0, 5, STD, 1, 8)];
    BrcEperm "OFPBRC_EPERM" [(0, 5, STD, 1, 5)];
    BrcIsSecondary "OFPBRC_IS_SECONDARY" [(0, 1, STD, 1, 5), (2, 5, STD, 1, 10)];
    BrcMultipartBadSched "OFPBRC_MULTIPART_BAD_SCHED" [(5, 5, STD, 1, 16)];
    BrcMultipartBufferOverflow "OFPBRC_MULTIPART_BUFFER_OVERFLOW" [(3, 5, STD, 1, 13)];
    BrcMultipartReplyTimeout "OFPBRC_MULTIPART_REPLY_TIMEOUT" [(3, 3, ONF, 2641, 0), (4, 5, STD, 1, 15)];
    BrcMultipartRequestTimeout "OFPBRC_MULTIPART_REQUEST_TIMEOUT" [(3, 3, ONF, 2640, 0), (4, 5, STD, 1, 14)];
    BrcPipelineFieldsOnly "OFPBRC_PIPELINE_FIELDS_ONLY" [(5, 5, STD, 1, 17)];
    BrcUnknown "OFPBRC_UNKNOWN" [(5, 5, STD, 1, 18)];
    FmfcBadCommand "OFPFMFC_BAD_COMMAND" [(0, 0, STD, 3, 4), (1, 5, STD, 5, 6)];
    FmfcBadEmergTimeout "OFPFMFC_BAD_EMERG_TIMEOUT" [(0, 0, STD, 3, 3)];
    FmfcBadFlags "OFPFMFC_BAD_FLAGS" [(0, 0, NX, 3, 258), (1, 1, NX, 5, 258), (2, 5, STD, 5, 7)];
    FmfcBadPriority "OFPFMFC_BAD_PRIORITY" [(3, 3, ONF, 2360, 0), (4, 5, STD, 5, 9)];
    FmfcBadTableId "OFPFMFC_BAD_TABLE_ID" [(1, 5, STD, 5, 2)];
    FmfcBadTimeout "OFPFMFC_BAD_TIMEOUT" [(1, 5, STD, 5, 5)];
    FmfcCantSync "OFPFMFC_CANT_SYNC" [(4, 5, STD, 5, 8)];
    FmfcEperm "OFPFMFC_EPERM" [(0, 0, STD, 3, 2), (1, 5, STD, 5, 4)];
    FmfcIsSync "OFPFMFC_IS_SYNC" [(4, 5, STD, 5, 10)];
    FmfcOverlap "OFPFMFC_OVERLAP" [(0, 0, STD, 3, 1), (1, 5, STD, 5, 3)];
    FmfcTableFull "OFPFMFC_TABLE_FULL" [(0, 0, STD, 3, 0), (1, 5, STD, 5, 1)];
    FmfcUnknown "OFPFMFC_UNKNOWN" [(1, 5, STD, 5, 0)];
    FmfcUnsupported "OFPFMFC_UNSUPPORTED" [(0, 0, STD, 3, 5)];
    GmfcBadBucket "OFPGMFC_BAD_BUCKET" [(0, 0, NX, 6, 12), (2, 5, STD, 6, 12)];
    GmfcBadCommand "OFPGMFC_BAD_COMMAND" [(0, 0, NX, 6, 11), (2, 5, STD, 6, 11)];
    GmfcBadType "OFPGMFC_BAD_TYPE" [(0, 0, NX, 6, 10), (2, 5, STD, 6, 10)];
    GmfcBadWatch "OFPGMFC_BAD_WATCH" [(0, 0, NX, 6, 13), (2, 5, STD, 6, 13)];
    GmfcBucketExists "OFPGMFC_BUCKET_EXISTS" [(0, 0, NX, 6, 16), (5, 5, STD, 6, 16)];
    GmfcChainedGroup "OFPGMFC_CHAINED_GROUP" [(0, 0, NX, 6, 9), (2, 5, STD, 6, 9)];
    GmfcChainingUnsupported "OFPGMFC_CHAINING_UNSUPPORTED" [(0, 0, NX, 6, 5), (1, 5, STD, 6, 5)];
    GmfcEperm "OFPGMFC_EPERM" [(0, 0, NX, 6, 14), (2, 5, STD, 6, 14)];
    GmfcGroupExists "OFPGMFC_GROUP_EXISTS" [(0, 0, NX, 6, 0), (1, 5, STD, 6, 0)];
    GmfcInvalidGroup "OFPGMFC_INVALID_GROUP" [(0, 0, NX, 6, 1), (1, 5, STD, 6, 1)];
    GmfcLoop "OFPGMFC_LOOP" [(0, 0, NX, 6, 7), (1, 5, STD, 6, 7)];
    GmfcOutOfBuckets "OFPGMFC_OUT_OF_BUCKETS" [(0, 0, NX, 6, 4), (1, 5, STD, 6, 4)];
    GmfcOutOfGroups "OFPGMFC_OUT_OF_GROUPS" [(0, 0, NX, 6, 3), (1, 5, STD, 6, 3)];
    GmfcUnknownBucket "OFPGMFC_UNKNOWN_BUCKET" [(0, 0, NX, 6, 15), (5, 5, STD, 6, 15)];
    GmfcUnknownGroup "OFPGMFC_UNKNOWN_GROUP" [(0, 0, NX, 6, 8), (1, 5, STD, 6, 8)];
    GmfcWatchUnsupported "OFPGMFC_WATCH_UNSUPPORTED" [(0, 0, NX, 6, 6), (1, 5, STD, 6, 6)];
    GmfcWeightUnsupported "OFPGMFC_WEIGHT_UNSUPPORTED" [(0, 0, NX, 6, 2), (1, 5, STD, 6, 2)];
    HfcEperm "OFPHFC_EPERM" [(0, 5, STD, 0, 1)];
    HfcIncompatible "OFPHFC_INCOMPATIBLE" [(0, 5, STD, 0, 0)];
    MmfcBadBand "OFPMMFC_BAD_BAND" [(3, 5, STD, 12, 8)];
    MmfcBadBandValue "OFPMMFC_BAD_BAND_VALUE" [(3, 5, STD, 12, 9)];
    MmfcBadBurst "OFPMMFC_BAD_BURST" [(3, 5, STD, 12, 7)];
    MmfcBadCommand "OFPMMFC_BAD_COMMAND" [(3, 5, STD, 12, 4)];
    MmfcBadFlags "OFPMMFC_BAD_FLAGS" [(3, 5, STD, 12, 5)];
    MmfcBadRate "OFPMMFC_BAD_RATE" [(3, 5, STD, 12, 6)];
    MmfcInvalidMeter "OFPMMFC_INVALID_METER" [(3, 5, STD, 12, 2)];
    MmfcMeterExists "OFPMMFC_METER_EXISTS" [(3, 5, STD, 12, 1)];
    MmfcOutOfBands "OFPMMFC_OUT_OF_BANDS" [(3, 5, STD, 12, 11)];
    MmfcOutOfMeters "OFPMMFC_OUT_OF_METERS" [(3, 5, STD, 12, 10)];
    MmfcUnknown "OFPMMFC_UNKNOWN" [(3, 5, STD, 12, 0)];
    MmfcUnknownMeter "OFPMMFC_UNKNOWN_METER" [(3, 5, STD, 12, 3)];
    MofcBadCommand "OFPMOFC_BAD_COMMAND" [(4, 5, STD, 16, 4)];
    MofcBadFlags "OFPMOFC_BAD_FLAGS" [(0, 1, NX, 1, 518), (2, 3, NX, 7, 0), (4, 5, STD, 16, 5)];
    MofcBadOut "OFPMOFC_BAD_OUT" [(4, 5, STD, 16, 7)];
    MofcBadTableId "OFPMOFC_BAD_TABLE_ID" [(4, 5, STD, 16, 6)];
    MofcInvalidMonitor "OFPMOFC_INVALID_MONITOR" [(4, 5, STD, 16, 2)];
    MofcMonitorExists "OFPMOFC_MONITOR_EXISTS" [(0, 1, NX, 1, 517), (2, 3, NX, 6, 0), (4, 5, STD, 16, 1)];
    MofcUnknown "OFPMOFC_UNKNOWN" [(4, 5, STD, 16, 0)];
    MofcUnknownMonitor "OFPMOFC_UNKNOWN_MONITOR" [(0, 1, NX, 1, 519), (2, 3, NX, 8, 0), (4, 5, STD, 16, 3)];
    PmfcBadAdvertise "OFPPMFC_BAD_ADVERTISE" [(1, 5, STD, 7, 3)];
    PmfcBadConfig "OFPPMFC_BAD_CONFIG" [(1, 5, STD, 7, 2)];
    PmfcBadHwAddr "OFPPMFC_BAD_HW_ADDR" [(0, 0, STD, 4, 1), (1, 5, STD, 7, 1)];
    PmfcBadPort "OFPPMFC_BAD_PORT" [(0, 0, STD, 4, 0), (1, 5, STD, 7, 0)];
    PmfcEperm "OFPPMFC_EPERM" [(2, 5, STD, 7, 4)];
    QofcBadPort "OFPQOFC_BAD_PORT" [(0, 0, STD, 5, 0), (1, 5, STD, 9, 0)];
    QofcBadQueue "OFPQOFC_BAD_QUEUE" [(0, 0, STD, 5, 1), (1, 5, STD, 9, 1)];
    QofcEperm "OFPQOFC_EPERM" [(0, 0, STD, 5, 2), (1, 5, STD, 9, 2)];
    RrfcBadRole "OFPRRFC_BAD_ROLE" [(0, 1, NX, 1, 513), (2, 5, STD, 11, 2)];
    RrfcIdInUse "OFPRRFC_ID_IN_USE" [(5, 5, STD, 11, 4)];
    RrfcIdUnsup "OFPRRFC_ID_UNSUP" [(5, 5, STD, 11, 3)];
    RrfcStale "OFPRRFC_STALE" [(2, 5, STD, 11, 0)];
    RrfcUnsup "OFPRRFC_UNSUP" [(2, 5, STD, 11, 1)];
    ScfcBadFlags "OFPSCFC_BAD_FLAGS" [(1, 5, STD, 10, 0)];
    ScfcBadLen "OFPSCFC_BAD_LEN" [(1, 5, STD, 10, 1)];
    ScfcEperm "OFPSCFC_EPERM" [(2, 5, STD, 10, 2)];
    TffcBadCapa "OFPTFFC_BAD_CAPA" [(5, 5, STD, 13, 6)];
    TffcBadCommand "OFPTFFC_BAD_COMMAND" [(5, 5, STD, 13, 9)];
    TffcBadFeatures "OFPTFFC_BAD_FEATURES" [(5, 5, STD, 13, 8)];
    TffcBadMaxEnt "OFPTFFC_BAD_MAX_ENT" [(5, 5, STD, 13, 7)];
    TffcBadMetadata "OFPTFFC_BAD_METADATA" [(3, 5, STD, 13, 1)];
    TffcBadTable "OFPTFFC_BAD_TABLE" [(3, 5, STD, 13, 0)];
    TffcEperm "OFPTFFC_EPERM" [(3, 5, STD, 13, 5)];
    TffcTooMany "OFPTFFC_TOO_MANY" [(5, 5, STD, 13, 10)];
    TmfcBadConfig "OFPTMFC_BAD_CONFIG" [(1, 5, STD, 8, 1)];
    TmfcBadTable "OFPTMFC_BAD_TABLE" [(1, 5, STD, 8, 0)];
    TmfcEperm "OFPTMFC_EPERM" [(2, 5, STD, 8, 2)];
}
