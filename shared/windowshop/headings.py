"""What shops usually call their columns, in English and Chinese; best first, as `normal` writes."""

import unicodedata
from collections.abc import Mapping

from windowshop.records import Kind


def normal(name: str) -> str:
    """A heading as it is compared: its letters and digits, whatever their case and width."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def _names(**spellings: str) -> dict[str, tuple[str, ...]]:
    return {ours: tuple(theirs.split()) for ours, theirs in spellings.items()}


ITEM_NAMES: Mapping[str, tuple[str, ...]] = _names(
    item_id="itemid productid id sku asin articleid articlenumber productcode itemcode goodsid "
    "商品id 商品编号 商品编码 产品id 产品编号 宝贝id 宝贝编号 物品id 货号 编号 "
    "productsku variantsku skuid spuid listingid offerid parentasin gtin ean upc isbn handle "
    "movieid bookid item product iid",
    title="title name producttitle productname itemtitle itemname headline "
    "商品名称 标题 商品标题 宝贝标题 宝贝名称 名称 商品名 产品名称 品名 物品名称",
    description="description desc longdescription productdescription itemdescription bodyhtml body "
    "shortdescription summary 描述 商品描述 产品描述 商品详情 详情 商品介绍 简介 说明",
    category="category categories categorypath categoryname productcategory googleproductcategory "
    "producttype 类目 分类 品类 商品类目 商品分类 产品分类 商品类别 类别",
    brand="brand brandname manufacturer vendor "
    "品牌 品牌名称 品牌名 商品品牌 制造商 厂商 店名 店铺 店铺名称",
    price="price currentprice saleprice sellingprice variantprice priceamount unitprice "
    "regularprice listprice 现价 价格 售价 商品价格 销售价 单价 原价",
    currency="currency currencycode pricecurrency 币种 货币 货币单位",
    image_url="imageurl image images imagelink imagesrc imgurl imurl img picture pictureurl photo "
    "thumbnail 图片 图片链接 图片地址 商品图片 主图 主图链接",
    url="url link producturl itemurl producthref href pageurl 链接 商品链接 商品url 网址 详情链接",
    available="available availability isavailable instock stockstatus stock inventory "
    "inventoryquantity stockquantity "
    "是否有货 有货 库存 库存数量 库存状态 可售 是否在售 是否上架",
    group_id="groupid itemgroupid parentid parentsku variantof spu 组id 商品组 款号",
    created_at="createdat created createdate creationdate dateadded addedat publishedat "
    "releasedate launchdate timestamp time date "
    "上架时间 上架日期 创建时间 创建日期 发布时间 上市时间 时间 日期",
    attributes="attributes",
    deleted="deleted delete isdeleted 删除 已删除 是否删除",
)

EVENT_NAMES: Mapping[str, tuple[str, ...]] = _names(
    kind="kind event eventtype eventname action actiontype behavior behaviour behaviortype "
    "behaviourtype activity interaction type 事件 事件类型 行为 行为类型 动作 操作 类型",
    user_id="userid user customerid customer memberid member shopperid buyerid accountid "
    "reviewerid householdid uid 用户id 用户 用户编号 会员id 会员 会员编号 "
    "客户id 客户 客户编号 买家id 买家 顾客id 顾客",
    anonymous_id="anonymousid visitorid visitor guestid guest deviceid cookieid "
    "访客id 访客 匿名id 设备id sessionid session 会话id 会话",
    item_id="itemid item productid product asin sku goodsid articleid parentasin movieid bookid "
    "iid 商品id 商品编号 商品编码 商品 产品id 产品编号 宝贝id 物品id 货号",
    item_ids="itemids",
    query="query searchquery searchterm searchterms keyword keywords "
    "搜索词 关键词 查询词 搜索 查询",
    value="value rating score stars overall 评分 打分 星级",
    quantity="quantity qty units 数量 购买数量 件数",
    price="price unitprice saleprice 价格 单价 售价 现价",
    currency="currency currencycode 币种 货币",
    position="position",
    timestamp="timestamp datetime eventtime createdat occurredat ts unixtime unixreviewtime "
    "transactiontimestamp transactiontime ordertime purchasetime time eventdate transactiondate "
    "orderdate purchasedate date "
    "时间戳 时间 行为时间 事件时间 下单时间 购买时间 订单时间 付款时间 日期",
    event_id="eventid eventuuid 事件id",
    request_id="requestid",
    context="context",
)

# What a message names of these.
TRIED: Mapping[str, str] = {
    "item_id": "item_id, product_id, id, sku, asin, 商品id, 商品编号 ...",
    "title": "title, name, product_name, description, category, 标题, 商品名称, 描述 ...",
    "user_id": "user_id, customer_id, member_id, visitor_id, session_id, 用户id, 会员id ...",
    "event_item": "item_id, product_id, asin, sku, query, 商品id, 搜索词 ...",
    "kind": "kind, event, event_type, action, behavior_type, 行为类型, 事件 ...",
}

# Words for kinds of events.
_WORDS: Mapping[Kind, str] = {
    "view": "view pv pageview productview viewitem viewed detail browse 浏览 查看 点击浏览",
    "click": "click clicked 点击",
    "add_to_cart": "addtocart cart addcart basket addtobasket 加购 加入购物车 加购物车 购物车",
    "remove_from_cart": "removefromcart removecart removefrombasket 移出购物车 移除购物车",
    "purchase": "purchase purchased buy bought order ordered transaction sale checkout "
    "购买 下单 支付 成交",
    "return": "return returned refund refunded 退货 退款",
    "like": "like liked fav favorite favourite favorites wishlist addtowishlist 收藏 点赞 喜欢",
    "dislike": "dislike disliked 不喜欢 踩",
    "rate": "rate rating rated 评分 打分",
    "search": "search searched 搜索",
    "dwell": "dwell 停留",
    "impression": "impression impressions exposure 曝光 展示",
}
USUAL_KINDS: Mapping[str, Kind] = {
    word: kind for kind, words in _WORDS.items() for word in words.split()
}
